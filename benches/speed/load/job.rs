//! Calls to be made: to which method, with which requests.

use super::requests::Template;

/// Looks at the reply to a call: its number and the message.
pub type OnReply<'a> = Box<dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a>;

/// Calls of one method, numbered from 0. Each fills in a template: ids follow on each
/// other, and the account of an item follows from the item's number.
pub struct Job<'a> {
    pub template: &'a Template,
    pub first_id: u64,
    pub account: Box<dyn Fn(u64) -> u32 + 'a>,
    /// None: as many as the time allows.
    pub calls_max: Option<u64>,
    /// Without it, a reply counts as a success where it has a message.
    pub on_reply: Option<OnReply<'a>>,
}

impl<'a> Job<'a> {
    /// The same request in every call, whose gaps get the numbers as they come.
    pub fn of(template: &'a Template) -> Self {
        Self {
            template,
            first_id: 0,
            account: Box::new(|_| 0),
            calls_max: None,
            on_reply: None,
        }
    }

    pub fn request_bytes(&self) -> usize {
        self.template.bytes()
    }

    /// Writes the request of a call.
    pub fn write(&self, number: u64, into: &mut Vec<u8>) {
        let first = number * self.template.items();
        let items = first..;
        self.template
            .write(self.first_id + first, items.map(&self.account), into);
    }
}
