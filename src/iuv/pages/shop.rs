//! Home, catalogue, cart, orders.

use super::{
    Reply, Scene,
    account::refused,
    frame::{CartPage, CataloguePage, Frame, HomePage, Item, Listed, OrderPage, OrdersPage, ShownLine, rendered},
    texts::Texts,
};
use crate::{
    http::Problem,
    iuv::{
        products::ProductRow,
        shoppers::{self, Command, LineCode, Offer, Order, Shopper, Told},
    },
    kernel::{Address, Codec, ProductId, RowSpace, StoreId, UnixMillis, VaultField},
    store::StoreError,
};
use askama::Template;

/// Products that a catalogue shows.
const PRODUCTS_MAX: usize = 500;

type Shelf = Vec<(ProductId, ProductRow)>;

/// The products of a store.
pub(super) async fn shelf(scene: &Scene<'_>) -> Result<Shelf, Problem> {
    let (org, prefix) = (scene.view.address.org, StoreId::to_bytes(scene.store()).to_vec());
    let behind = prefix.len();
    let rows = scene.browser.ask.engine.rows(RowSpace::Products, org, prefix, None, PRODUCTS_MAX).await?;
    let read = |(key, bytes): &(Vec<u8>, Vec<u8>)| {
        let corrupt = |why: String| StoreError::Corrupt { what: "product's row", why };
        let product = key.get(behind..).and_then(ProductId::from_bytes).ok_or_else(|| corrupt("its key".to_owned()))?;
        Ok::<_, StoreError>((product, ProductRow::decode_from(bytes).map_err(corrupt)?))
    };
    let mut shelf = rows.iter().map(read).collect::<Result<Shelf, _>>()?;
    shelf.sort_by(|one, other| one.1.description.name.cmp(&other.1.description.name));
    Ok(shelf)
}

/// What is said of an order or a product that was refused; `None` for what is no refusal of the shop.
fn reason(t: &'static Texts, refusal: shoppers::Refusal) -> &'static str {
    use shoppers::Refusal as Why;
    match refusal {
        Why::NotEligible | Why::NotAllowed | Why::RoleMissing => t.not_for_you,
        Why::LimitReached => t.limit_reached,
        Why::CartFull => t.cart_full,
        Why::CartEmpty => t.cart_empty,
        Why::TooManyOrders => t.too_many_orders,
        Why::NotFound | Why::NotListed => t.not_listed,
        Why::Locked | Why::NoPassword | Why::LinkInvalid | Why::TransferPending | Why::NoTransfer => t.busy,
    }
}

fn date(at: UnixMillis) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

fn listed(order: &Order, shelf: &Shelf) -> Listed {
    let names: Vec<&str> = order.lines.iter().map(|line| name_of(shelf, line.product)).collect();
    Listed {
        number: order.number,
        at: order.at.to_rfc3339(),
        date: date(order.at),
        test: order.test,
        products: names.join(", "),
    }
}

fn name_of(shelf: &Shelf, product: ProductId) -> &str {
    shelf.iter().find(|(id, _)| *id == product).map_or("–", |(_, row)| &row.description.name)
}

impl Scene<'_> {
    pub(super) async fn home_page(&self) -> Result<Reply, Problem> {
        let account = self.account().await?.map(|(_, known)| known);
        let frame = self.framed("home", self.t().welcome, account.as_ref()).await?;
        rendered(200, self.language(), HomePage { f: &frame }.render())
    }

    pub(super) async fn catalogue(&self, said: Option<&'static str>) -> Result<Reply, Problem> {
        let account = self.account().await?.map(|(_, known)| known);
        let (t, shelf) = (self.t(), shelf(self).await?);
        let item = |(product, row): &(ProductId, ProductRow)| {
            let mine = account.as_ref();
            let eligible = mine.is_none_or(|known| row.description.is_for(&known.membership.groups));
            let had = mine.is_some_and(|known| known.ordered(*product) >= usize::from(row.description.per_shopper));
            let in_cart = mine.is_some_and(|known| known.cart.contains(product));
            let note = match () {
                () if !eligible => Some(t.not_for_you),
                () if had && !self.side.is_test() => Some(t.had),
                () if in_cart => Some(t.in_cart),
                () if row.left() == 0 && !self.side.is_test() => Some(t.sold_out),
                () => None,
            };
            let orderable = eligible && !in_cart && (!had || self.side.is_test());
            let (name, about) = (row.description.name.clone(), row.description.about.clone());
            Item { product: *product, name, about, note, orderable }
        };
        let items: Vec<Item> = shelf.iter().filter(|(_, row)| row.description.listed).map(item).collect();
        let frame = self.framed("catalogue", t.catalogue, account.as_ref()).await?;
        let status = if said.is_some() { 409 } else { 200 };
        rendered(status, self.language(), CataloguePage { f: &Frame { said, ..frame }, items: &items }.render())
    }

    pub(super) async fn cart(&self, said: Option<&'static str>) -> Result<Reply, Problem> {
        let Some((_, known)) = self.account().await? else { return self.sign_in_first() };
        let shelf = shelf(self).await?;
        let item = |product: &ProductId| Item {
            product: *product,
            name: name_of(&shelf, *product).into(),
            about: "".into(),
            note: None,
            orderable: true,
        };
        let items: Vec<Item> = known.cart.iter().map(item).collect();
        let frame = self.framed("cart", self.t().cart, Some(&known)).await?;
        let status = if said.is_some() { 409 } else { 200 };
        rendered(status, self.language(), CartPage { f: &Frame { said, ..frame }, items: &items }.render())
    }

    /// Adding needs a user.
    pub(super) async fn put_in_cart(&self) -> Result<Reply, Problem> {
        let Some((shopper, _)) = self.account().await? else { return self.sign_in_first() };
        let wanted = self.browser.fields.product.parse::<ProductId>().ok();
        let found = shelf(self).await?.into_iter().find(|(product, _)| Some(*product) == wanted);
        let Some((product, row)) = found else { return self.catalogue(Some(self.t().not_listed)).await };
        let offer = Offer { product, description: row.description };
        match self.try_tell(shopper, Command::PutInCart(Box::new(offer))).await? {
            Ok(_) => Ok(Reply::to(format!("{}cart", self.home()))),
            Err(refusal) => self.catalogue(Some(reason(self.t(), refusal))).await,
        }
    }

    pub(super) async fn take_from_cart(&self) -> Result<Reply, Problem> {
        let Some((shopper, _)) = self.account().await? else { return self.sign_in_first() };
        if let Ok(product) = self.browser.fields.product.parse() {
            self.browser.ask.tell::<Shopper>(shopper, Command::TakeFromCart(product), refused).await?;
        }
        Ok(Reply::to(format!("{}cart", self.home())))
    }

    pub(super) async fn place_order(&self) -> Result<Reply, Problem> {
        let Some((shopper, known)) = self.account().await? else { return self.sign_in_first() };
        let wanted = |(product, row): (ProductId, ProductRow)| {
            known.cart.contains(&product).then_some(Offer { product, description: row.description })
        };
        let offers = shelf(self).await?.into_iter().filter_map(wanted).collect();
        match self.try_tell(shopper, Command::PlaceOrder { test: self.side.is_test(), offers }).await? {
            Ok(Told::Ordered(number)) => Ok(Reply::to(format!("{}orders/{number}", self.home()))),
            Ok(_) => Ok(Reply::to(format!("{}orders", self.home()))),
            Err(refusal) => self.cart(Some(reason(self.t(), refusal))).await,
        }
    }

    pub(super) async fn orders(&self) -> Result<Reply, Problem> {
        let Some((_, known)) = self.account().await? else { return self.sign_in_first() };
        let shelf = shelf(self).await?;
        let orders: Vec<Listed> = known.orders.iter().rev().map(|order| listed(order, &shelf)).collect();
        let frame = self.framed("orders", self.t().orders, Some(&known)).await?;
        rendered(200, self.language(), OrdersPage { f: &frame, orders: &orders }.render())
    }

    pub(super) async fn order(&self, number: u32) -> Result<Reply, Problem> {
        let Some((_, known)) = self.account().await? else { return self.sign_in_first() };
        let t = self.t();
        let Some(order) = known.order(number) else { return self.message(404, "message", t.order, t.missing, None) };
        let shelf = shelf(self).await?;
        let mut lines = Vec::with_capacity(order.lines.len());
        for line in &order.lines {
            let code = match line.code {
                LineCode::Given(number) => self.code(line.product, number).await?,
                LineCode::Test | LineCode::Waits | LineCode::Denied => None,
            };
            let note = if line.code == LineCode::Denied { t.code_denied } else { t.code_waits };
            lines.push(ShownLine {
                name: name_of(&shelf, line.product).to_owned(),
                state: line.code.name(),
                code,
                note,
            });
        }
        let frame = self.framed("order", &format!("{} {number}", t.order), Some(&known)).await?;
        let order = listed(order, &shelf);
        rendered(200, self.language(), OrderPage { f: &frame, order: &order, lines: &lines }.render())
    }

    /// The text of a code.
    async fn code(&self, product: ProductId, number: u64) -> Result<Option<String>, Problem> {
        let address = product.at(self.view.address.org);
        let read = move |db: &_, keys: &crate::store::Keyring| {
            keys.read_numbered(db, address, VaultField::ProductCode, number)
        };
        let plain = self.browser.ask.engine.with_db(read).await?;
        Ok(plain.map(|plain| String::from_utf8_lossy(&plain).into_owned()))
    }

    /// A command whose refusal is told on a page.
    pub(super) async fn try_tell(
        &self,
        shopper: Address,
        command: Command,
    ) -> Result<Result<Told, shoppers::Refusal>, Problem> {
        self.browser.ask.try_tell::<Shopper>(shopper, command).await.map(|told| told.map(|told| told.answer))
    }

    fn sign_in_first(&self) -> Result<Reply, Problem> {
        self.sign_in(None)
    }
}
