//! The API and the box protocol over HTTP: the program itself on a real RocksDB in a temporary folder.
//! A number in brackets names the case of `spec/boxes.md`, "What a demanding user tries".

#![allow(clippy::unwrap_used)]

mod admin;
mod audit;
mod backup;
mod bad_input;
mod boxes_enrol;
mod boxes_move;
mod boxes_sync;
mod bulk;
mod catcher;
mod codes;
mod devices;
mod devices_certificates;
mod devices_csv;
mod devices_guess;
mod devices_page;
mod devices_strange;
mod devices_time;
mod documented;
mod etag;
mod feed;
mod follower;
mod idempotency;
mod iuv;
mod iuv_admin;
mod iuv_raw;
mod limits;
mod lists;
mod mail;
mod many;
mod operate;
mod orgs;
mod past;
mod privacy;
mod prometheus;
mod receiver;
mod recovery;
mod rig;
mod rotation;
mod shop;
mod shop_ways;
mod site;
mod smart_box;
mod tls;
mod walk;
mod webhooks;
mod webhooks_admin;
