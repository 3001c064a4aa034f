//! STS, as far as asking who one is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::service::{ApiResult, BoxFuture, Context, Service, unknown_operation};

pub struct Sts {
    ctx: Context,
}

impl Sts {
    pub fn new(ctx: Context) -> Arc<Sts> {
        Arc::new(Sts { ctx })
    }
}

impl Service for Sts {
    fn call<'a>(&'a self, operation: &'a str, _: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move {
            if operation != "GetCallerIdentity" {
                return Err(unknown_operation(operation));
            }
            let account = &self.ctx.account;
            let arn = format!("arn:aws:iam::{account}:root");
            Ok(json!({"UserId": account, "Account": account, "Arn": arn}))
        })
    }
}
