//! Edits of the statements of a block.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprAssign, ExprBinary, ExprCall, ExprMethodCall, Macro, Pat, Stmt};

use crate::found::Found;

/// A statement deleted, or moved behind the next one, or the error of one ignored.
pub fn edit(found: &mut Found<'_>, statements: &[Stmt]) {
    for (i, statement) in statements.iter().enumerate() {
        let is_last = i + 1 == statements.len();
        if can_go(statement, is_last) {
            found.replace(statement, "");
        }
        if let Some(next) = statements.get(i + 1)
            && can_move(statement, false)
            && can_move(next, i + 2 == statements.len())
        {
            let range = statement.span().byte_range().start..next.span().byte_range().end;
            let swapped = format!("{}\n{}", found.text(next), found.text(statement));
            found.replace_range(range, swapped);
        }
        if let Stmt::Expr(Expr::Try(tried), Some(_)) = statement {
            found.replace(statement, format!("let _ = {};", found.text(&tried.expr)));
        }
    }
}

/// Can the block do without it, as far as its value and its names go?
pub fn can_go(statement: &Stmt, is_last: bool) -> bool {
    match statement {
        Stmt::Expr(_, Some(_)) => true,
        Stmt::Expr(Expr::If(expr), None) => !is_last || expr.else_branch.is_none(),
        Stmt::Expr(Expr::While(_) | Expr::ForLoop(_), None) => true,
        Stmt::Expr(_, None) => !is_last,
        // `let _guard = …`: what is bound is only to be dropped later.
        Stmt::Local(local) => match &local.pat {
            Pat::Wild(_) => true,
            Pat::Ident(name) => name.ident.to_string().starts_with('_'),
            _ => false,
        },
        // An assertion of what holds anyway changes nothing.
        Stmt::Macro(statement) => {
            statement.semi_token.is_some()
                && !statement
                    .mac
                    .path
                    .segments
                    .last()
                    .is_some_and(|last| last.ident.to_string().starts_with("debug_assert"))
        }
        Stmt::Item(_) => false,
    }
}

/// Has it an effect, so that its order counts, and does it go on to the next?
fn can_move(statement: &Stmt, is_last: bool) -> bool {
    let leaves = matches!(statement, Stmt::Expr(Expr::Return(_) | Expr::Break(_) | Expr::Continue(_), _));
    let is_value = is_last && matches!(statement, Stmt::Expr(_, None));
    let mut effects = Effects(false);
    effects.visit_stmt(statement);
    effects.0 && !leaves && !is_value && !matches!(statement, Stmt::Item(_))
}

/// Is a function called, or something assigned?
struct Effects(bool);

impl<'ast> Visit<'ast> for Effects {
    fn visit_expr_call(&mut self, _: &'ast ExprCall) {
        self.0 = true;
    }

    fn visit_expr_method_call(&mut self, _: &'ast ExprMethodCall) {
        self.0 = true;
    }

    fn visit_expr_assign(&mut self, _: &'ast ExprAssign) {
        self.0 = true;
    }

    fn visit_expr_binary(&mut self, expr: &'ast ExprBinary) {
        self.0 |= matches!(
            expr.op,
            BinOp::AddAssign(_) | BinOp::SubAssign(_) | BinOp::BitOrAssign(_) | BinOp::BitAndAssign(_)
        );
        visit::visit_expr_binary(self, expr);
    }

    fn visit_macro(&mut self, _: &'ast Macro) {
        self.0 = true;
    }
}
