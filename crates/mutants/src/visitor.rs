//! The walk over a file: what is visited, and what is left alone.

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Expr, ExprBinary, ExprIf, ExprMatch, ExprMethodCall, ExprPath, ExprRange, ExprUnary,
    ExprWhile, File, ImplItemFn, ItemConst, ItemFn, ItemMod, ItemStatic, Lit, Macro, Token, Type,
};

use crate::edit::Edit;
use crate::found::Found;
use crate::{expressions, functions, statements};

/// All edits of a file, in the order of their places.
pub fn edits(source: &str, file: &File) -> Vec<Edit> {
    let mut found = Found::new(source);
    found.visit_file(file);
    found.edits()
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    /// The length of an array is part of its type: another one does not compile.
    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let for_tests = |attribute: &Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|of| of.is_ident("test"))
        };
        if !item.attrs.iter().any(for_tests) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.inside(&item.ident, |this| visit::visit_item_const(this, item));
    }

    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        self.inside(&item.ident, |this| visit::visit_item_static(this, item));
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.inside(&item.sig.ident, |this| {
            functions::edit(this, &item.sig, &item.block);
            visit::visit_item_fn(this, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.inside(&item.sig.ident, |this| {
            functions::edit(this, &item.sig, &item.block);
            visit::visit_impl_item_fn(this, item);
        });
    }

    fn visit_block(&mut self, block: &'ast Block) {
        statements::edit(self, &block.stmts);
        visit::visit_block(self, block);
    }

    fn visit_expr_binary(&mut self, expr: &'ast ExprBinary) {
        expressions::binary(self, expr);
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast ExprUnary) {
        expressions::unary(self, expr);
        visit::visit_expr_unary(self, expr);
    }

    fn visit_expr_range(&mut self, expr: &'ast ExprRange) {
        expressions::range(self, expr);
        visit::visit_expr_range(self, expr);
    }

    fn visit_expr_method_call(&mut self, expr: &'ast ExprMethodCall) {
        expressions::method(self, expr);
        visit::visit_expr_method_call(self, expr);
    }

    fn visit_expr_path(&mut self, expr: &'ast ExprPath) {
        expressions::ordering(self, expr);
    }

    fn visit_expr_if(&mut self, expr: &'ast ExprIf) {
        expressions::condition(self, &expr.cond);
        visit::visit_expr_if(self, expr);
    }

    fn visit_expr_while(&mut self, expr: &'ast ExprWhile) {
        expressions::condition(self, &expr.cond);
        visit::visit_expr_while(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'ast ExprMatch) {
        for arm in &expr.arms {
            if expr.arms.len() > 1 {
                self.replace(arm, "");
            }
            if let Some((_, guard)) = &arm.guard {
                expressions::condition(self, guard);
                self.replace(guard, "true");
            }
        }
        visit::visit_expr_match(self, expr);
    }

    fn visit_lit(&mut self, literal: &'ast Lit) {
        expressions::literal(self, literal);
    }

    /// What a macro takes is no Rust to the parser. Where it looks like a list of expressions, it is one.
    fn visit_macro(&mut self, invocation: &'ast Macro) {
        let takes_expressions = ["assert", "assert_eq", "assert_ne", "vec"];
        if takes_expressions.iter().any(|name| invocation.path.is_ident(name))
            && let Ok(list) = invocation.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated)
        {
            list.iter().for_each(|expr| Found::visit_expr(self, expr));
        }
    }
}
