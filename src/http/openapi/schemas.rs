//! The types of the document, by name.

use std::{any::type_name, collections::BTreeMap};
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Response, Schema, Type, schema::SchemaType},
};

/// What the document says of types, and of problems that routes share, by name.
#[derive(Default)]
pub(super) struct Schemas {
    pub types: BTreeMap<String, RefOr<Schema>>,
    pub problems: BTreeMap<String, RefOr<Response>>,
    /// What a test must not find.
    pub mistakes: Vec<String>,
}

impl Schemas {
    pub fn request<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.put::<T>(false)
    }

    /// In an answer everything is there that may be null.
    pub fn answer<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.put::<T>(true)
    }

    pub fn page<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let item = self.answer::<T>();
        let next = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("What to give as `after` for the next page; `null` at the end."));
        ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(item).max_items(Some(crate::http::PageQuery::LIMIT_MAX)))
            .required("items")
            .property("next", next)
            .required("next")
            .into()
    }

    fn put<T: ToSchema>(&mut self, answer: bool) -> RefOr<Schema> {
        // Simple types have no name of their own.
        if !type_name::<T>().contains("castellan::") {
            return T::schema();
        }
        let mut met = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut met);
        for (name, mut schema) in met {
            if answer {
                whole(&mut schema);
            }
            let known = self.types.insert(name.clone(), schema.clone());
            if known.is_some_and(|known| known != schema) {
                self.mistakes.push(format!("two types are called {name}: name one with `#[schema(as = …)]`"));
            }
        }
        Ref::from_schema_name(T::name()).into()
    }
}

/// Requires every property that may be null.
fn whole(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            let nullable = object.properties.iter().filter(|(_, schema)| may_be_null(schema));
            let missing: Vec<_> =
                nullable.map(|(name, _)| name.clone()).filter(|name| !object.required.contains(name)).collect();
            object.required.extend(missing);
        }
        RefOr::T(Schema::AllOf(parts)) => parts.items.iter_mut().for_each(whole),
        RefOr::T(Schema::OneOf(parts)) => parts.items.iter_mut().for_each(whole),
        _ => {}
    }
}

pub(super) fn may_be_null(schema: &RefOr<Schema>) -> bool {
    let null = |schema_type: &SchemaType| match schema_type {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => null(&array.schema_type),
        RefOr::T(Schema::OneOf(parts)) => parts.items.iter().any(may_be_null),
        _ => false,
    }
}
