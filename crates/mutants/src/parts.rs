//! The parts of a source, of which some differ from answer to answer.

use std::ops::Range;

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, ImplItemFn, Item, ReturnType, Signature, TraitItemFn};

/// The parts of a source. Tokens are without comments.
pub struct Parts<'a> {
    pub source: &'a str,
    /// Those whose bodies can be arms, in the order of the source. No function within another is among them.
    pub functions: Vec<Function>,
    /// Imports, constants, and functions outside of other items.
    loose: Vec<Loose>,
    /// The tokens of everything else.
    rest: String,
}

pub struct Function {
    /// For a loose one: its tokens before the body. For one in another item: its place among those.
    key: String,
    pub body: Range<usize>,
    tokens: String,
}

struct Loose {
    place: Range<usize>,
    tokens: String,
    /// What others call it. An import has no name here, because what does not change has no need of it.
    name: Option<String>,
    /// The key of its [`Function`].
    key: Option<String>,
}

impl<'a> Parts<'a> {
    /// # Errors
    /// When it is not Rust.
    pub fn of(source: &'a str) -> Result<Self> {
        let mut parts = Self { source, functions: Vec::new(), loose: Vec::new(), rest: String::new() };
        let mut counted = 0;
        for item in syn::parse_file(source)?.items {
            let place = item.span().byte_range();
            let (name, key) = match &item {
                Item::Use(_) => (None, None),
                Item::Const(item) => (Some(item.ident.to_string()), None),
                Item::Fn(item) => {
                    let body = item.block.span().byte_range();
                    let key = tokens(&source[place.start..body.start])?;
                    if can_have_arms(&item.sig) {
                        parts.function(key.clone(), body)?;
                    }
                    (Some(item.sig.ident.to_string()), Some(key))
                }
                _ => {
                    let mut inner = Bodies::default();
                    inner.visit_item(&item);
                    let mut copied = place.start;
                    for body in inner.0 {
                        parts.rest += &source[copied..body.start];
                        parts.rest += "{}";
                        copied = body.end;
                        parts.function(counted.to_string(), body)?;
                        counted += 1;
                    }
                    parts.rest += &source[copied..place.end];
                    continue;
                }
            };
            let tokens = tokens(&source[place.clone()])?;
            parts.loose.push(Loose { place, tokens, name, key });
        }
        parts.rest = tokens(&parts.rest)?;
        Ok(parts)
    }

    fn function(&mut self, key: String, body: Range<usize>) -> Result<()> {
        let tokens = tokens(&self.source[body.clone()])?;
        self.functions.push(Function { key, body, tokens });
        Ok(())
    }

    /// Can this answer be arms of the reference's functions? Not if something new in it stands where no arm can be: a constant
    /// in the value of a static, for example.
    pub fn fits(&self, reference: &Self) -> bool {
        let stands_elsewhere = |name: &str| {
            let others = reference.loose.iter().filter(|item| item.name.as_deref() != Some(name));
            let mut outside_of_bodies = others.map(|item| item.key.as_ref().unwrap_or(&item.tokens));
            has_word(&reference.rest, name) || outside_of_bodies.any(|tokens| has_word(tokens, name))
        };
        let mut new = self.new_items(reference);
        self.rest == reference.rest && !new.any(|item| item.name.as_deref().is_some_and(stands_elsewhere))
    }

    /// What this answer does in that function of the reference's, if it is something else.
    pub fn arm(&self, function: &Function, reference: &Self) -> Option<String> {
        let mine = self.functions.iter().find(|mine| mine.key == function.key)?;
        let new: Vec<&Loose> = self.new_items(reference).collect();
        let mentions = |item: &&Loose| item.name.as_ref().is_some_and(|name| has_word(&mine.tokens, name));
        if mine.tokens == function.tokens && !new.iter().any(mentions) {
            return None;
        }
        let items: String =
            new.iter().map(|item| format!("{}\n", &self.source[item.place.clone()])).collect();
        let body = &self.source[mine.body.clone()];
        Some(if items.is_empty() { body.to_owned() } else { format!("{{\n{items}{body}\n}}") })
    }

    /// The loose items that the reference has not. A function with the same signature is none: its body is an arm.
    fn new_items<'b>(&'b self, reference: &'b Self) -> impl Iterator<Item = &'b Loose> {
        let is_known = |item: &Loose, known: &Loose| {
            known.tokens == item.tokens || (item.key.is_some() && known.key == item.key)
        };
        self.loose.iter().filter(move |item| !reference.loose.iter().any(|known| is_known(item, known)))
    }
}

fn tokens(text: &str) -> Result<String> {
    Ok(text.parse::<TokenStream>().map_err(|wrong| anyhow!("{wrong}"))?.to_string())
}

fn has_word(tokens: &str, word: &str) -> bool {
    fn within(tokens: TokenStream, word: &str) -> bool {
        tokens.into_iter().any(|tree| match tree {
            TokenTree::Group(group) => within(group.stream(), word),
            TokenTree::Ident(ident) => ident == word,
            _ => false,
        })
    }
    tokens.parse().is_ok_and(|tokens| within(tokens, word))
}

/// A constant function cannot look at the environment, and the arms of a hidden type would be of several types.
fn can_have_arms(signature: &Signature) -> bool {
    struct Hidden(bool);
    impl<'a> Visit<'a> for Hidden {
        fn visit_type_impl_trait(&mut self, _: &'a syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut hidden = Hidden(false);
    if let ReturnType::Type(_, output) = &signature.output {
        hidden.visit_type(output);
    }
    signature.constness.is_none() && !hidden.0
}

/// Where the bodies of an item's functions are.
#[derive(Default)]
struct Bodies(Vec<Range<usize>>);

impl Bodies {
    fn take(&mut self, signature: &Signature, block: &Block) {
        if can_have_arms(signature) {
            self.0.push(block.span().byte_range());
        }
    }
}

impl<'a> Visit<'a> for Bodies {
    /// What a module contains has other names around it.
    fn visit_item_mod(&mut self, _: &'a syn::ItemMod) {}

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        self.take(&function.sig, &function.block);
    }

    fn visit_trait_item_fn(&mut self, function: &'a TraitItemFn) {
        if let Some(block) = &function.default {
            self.take(&function.sig, block);
        }
    }
}
