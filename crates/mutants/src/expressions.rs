//! Edits within an expression.

use syn::{BinOp, Expr, ExprBinary, ExprMethodCall, ExprPath, ExprRange, ExprUnary, Lit, RangeLimits, UnOp};

use crate::found::Found;

/// Methods that a writer confuses, in pairs.
const CONFUSED: [(&str, &str); 4] =
    [("min", "max"), ("any", "all"), ("is_some", "is_none"), ("is_ok", "is_err")];

/// Another operator; or one side of a union, or of a difference, dropped.
pub fn binary(found: &mut Found<'_>, expr: &ExprBinary) {
    match &expr.op {
        BinOp::BitOr(_) => {
            found.replace(expr, found.text(&expr.left));
            let left_is_a_union =
                matches!(&*expr.left, Expr::Binary(left) if matches!(left.op, BinOp::BitOr(_)));
            if !left_is_a_union {
                found.replace(expr, found.text(&expr.right));
            }
        }
        BinOp::Sub(_) if is_constant(&expr.right) => found.replace(expr, found.text(&expr.left)),
        _ => {}
    }
    for other in others(&expr.op) {
        found.replace(&expr.op, *other);
    }
}

fn others(op: &BinOp) -> &'static [&'static str] {
    match op {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<="],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::Add(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Mul(_) => &["/"],
        BinOp::Div(_) => &["*"],
        BinOp::Rem(_) => &["/"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitXor(_) => &["|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::BitOrAssign(_) => &["&=", "="],
        BinOp::BitAndAssign(_) => &["|="],
        _ => &[],
    }
}

/// Is it a name in capitals, such as a flag?
fn is_constant(expr: &Expr) -> bool {
    let Expr::Path(path) = expr else { return false };
    path.path.segments.last().is_some_and(|last| !last.ident.to_string().contains(char::is_lowercase))
}

/// Without its `!` or its sign.
pub fn unary(found: &mut Found<'_>, expr: &ExprUnary) {
    if matches!(expr.op, UnOp::Not(_) | UnOp::Neg(_)) {
        found.replace(expr, found.text(&expr.expr));
    }
}

/// With its end, or without.
pub fn range(found: &mut Found<'_>, expr: &ExprRange) {
    if expr.end.is_some() {
        let other = if matches!(expr.limits, RangeLimits::HalfOpen(_)) { "..=" } else { ".." };
        found.replace(&expr.limits, other);
    }
}

/// The method that it is confused with.
pub fn method(found: &mut Found<'_>, expr: &ExprMethodCall) {
    for (one, other) in CONFUSED {
        for (name, instead) in [(one, other), (other, one)] {
            if expr.method == name {
                found.replace(&expr.method, instead);
            }
        }
    }
}

/// A memory ordering that promises less.
pub fn ordering(found: &mut Found<'_>, expr: &ExprPath) {
    let Some(last) = expr.path.segments.last() else { return };
    let weaker: &[&str] = match last.ident.to_string().as_str() {
        "SeqCst" | "Acquire" | "Release" => &["Relaxed"],
        "AcqRel" => &["Acquire", "Release"],
        _ => &[],
    };
    weaker.iter().for_each(|weaker| found.replace(&last.ident, *weaker));
}

/// The opposite, unless another edit makes it already: of an operator that compares, of a `!`.
pub fn condition(found: &mut Found<'_>, expr: &Expr) {
    let made_already = match expr {
        Expr::Binary(expr) => matches!(
            expr.op,
            BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_)
        ),
        Expr::Unary(expr) => matches!(expr.op, UnOp::Not(_)),
        Expr::Let(_) | Expr::Lit(_) => true,
        _ => false,
    };
    if !made_already && !has_let(expr) {
        found.replace(expr, format!("!({})", found.text(expr)));
    }
}

/// Does a chain of conditions bind a name?
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(expr) => has_let(&expr.left) || has_let(&expr.right),
        _ => false,
    }
}

/// One more, one less, or the other of true and false.
pub fn literal(found: &mut Found<'_>, literal: &Lit) {
    match literal {
        Lit::Bool(value) => found.replace_range(value.span.byte_range(), (!value.value).to_string()),
        Lit::Int(value) => {
            let Ok(number) = value.base10_parse::<u128>() else { return };
            let others = [number.checked_sub(1), number.checked_add(1)];
            for other in others.into_iter().flatten() {
                found.replace_range(value.span().byte_range(), format!("{other}{}", value.suffix()));
            }
        }
        _ => {}
    }
}
