//! A function that returns at once.

use syn::{Block, GenericArgument, PathArguments, ReturnType, Signature, Type};

use crate::found::Found;
use crate::statements;

/// Types whose default is a plausible result.
const WITH_DEFAULT: [&str; 12] =
    ["Duration", "String", "Vec", "i32", "i64", "isize", "u16", "u32", "u64", "u8", "usize", "VecDeque"];

/// Let it return at once, with each simple value of its type.
pub fn edit(found: &mut Found<'_>, signature: &Signature, block: &Block) {
    // Without its only statement it does nothing too.
    let only_one = block.stmts.len() == 1 && statements::can_go(&block.stmts[0], true);
    if block.stmts.is_empty() || only_one || signature.constness.is_some() {
        return;
    }
    for value in values(&signature.output) {
        let body = if value.is_empty() { "{}".to_owned() } else { format!("{{ {value} }}") };
        if found.text(block) != body {
            found.replace(block, body);
        }
    }
}

fn values(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => vec![String::new()],
        ReturnType::Type(_, output) => simple(output),
    }
}

/// The simple values of a type; empty for one that is not known to have any.
fn simple(of: &Type) -> Vec<String> {
    let path = match of {
        Type::Tuple(tuple) if tuple.elems.is_empty() => return vec!["()".to_owned()],
        Type::Path(path) => path,
        _ => return Vec::new(),
    };
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => simple(inner),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    match last.ident.to_string().as_str() {
        "bool" => vec!["true".to_owned(), "false".to_owned()],
        "Option" => vec!["None".to_owned()],
        "Result" => inner.iter().map(|value| format!("Ok({value})")).collect(),
        name if WITH_DEFAULT.contains(&name) => vec!["Default::default()".to_owned()],
        _ => Vec::new(),
    }
}
