//! A call of a tool as questions at the local door, and the answers as values and text.

use super::{size, words};
use crate::{
    exit::{Exit, Failure, Outcome},
    out::escaped,
    reach::Reach,
    rooms::{asking, known_kind, segment},
};
use api::{client::Client, view};
use domain::{
    answer::{HERE, One, Page},
    id::Resource,
    kind::Kinds,
    say,
    scope::Door,
};
use hub::LinkState;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Rows of an answer that does not say.
const USUAL: u32 = 20;
/// Rows of an answer at most.
const MOST: u32 = 200;

/// Asks nothing more.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcesCall {}

/// Asks for many rows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListCall {
    /// The kind of row, as in tasks, notes or events.
    kind: String,
    /// Sources with commas between, as `sources` names them: here and names of links. All of them where it is left out.
    #[serde(default)]
    from: Option<String>,
    /// Rows of the answer, 1 to 200; 20 where it is left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Goes on where a former answer ended; the other arguments stay the same.
    #[serde(default)]
    cursor: Option<String>,
    /// Whether rows carry their bodies; long ones lose their ends.
    #[serde(default)]
    body: bool,
    /// Whether links are asked anew also where they answered the same less than half a minute ago.
    #[serde(default)]
    fresh: bool,
}

/// Asks for one row.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetCall {
    /// The kind of row.
    kind: String,
    /// Its id, or at least the first four characters of it.
    id: String,
    /// As for `list`.
    #[serde(default)]
    from: Option<String>,
    /// Which character of its body to begin with, where a former answer cut it off.
    #[serde(default)]
    body_from: usize,
    /// As for `list`.
    #[serde(default)]
    fresh: bool,
}

/// Asks what a question would be given and cost.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainCall {
    /// The kind of row.
    kind: String,
    /// As for `list`.
    #[serde(default)]
    from: Option<String>,
    /// The row that `get` would be asked for; where it is left out `list` is meant.
    #[serde(default)]
    id: Option<String>,
}

/// Where rows can come from.
#[derive(Serialize, JsonSchema)]
pub struct Told {
    /// This instance first, then its links.
    pub sources: Vec<SourceTold>,
}

/// One source.
#[derive(Serialize, JsonSchema)]
pub struct SourceTold {
    /// `here`, or the link's name.
    pub source: String,
    /// What the other instance calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// up, or how the last call ended.
    pub state: String,
    /// Whether it cannot be reached now.
    pub federation_offline: bool,
    /// Why, where it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The kinds of row that its grant gives; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    /// What may be done with them.
    pub verbs: Vec<String>,
    /// Through which doors its rows may be shown; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doors: Option<Vec<String>>,
    /// Whether an assistant is among them.
    pub for_assistants: bool,
}

impl SourceTold {
    fn here() -> Self {
        Self {
            source: HERE.to_owned(),
            instance: None,
            state: LinkState::Up.word().to_owned(),
            federation_offline: false,
            reason: None,
            kinds: None,
            verbs: Vec::new(),
            doors: None,
            for_assistants: true,
        }
    }

    fn of(link: &view::LinkEntry) -> Self {
        let terms = link.terms.as_ref();
        Self {
            source: link.name.to_string(),
            instance: Some(link.peer_name.to_string()),
            state: link.state.clone(),
            federation_offline: link.state == LinkState::Offline.word(),
            reason: link.reason.clone(),
            kinds: terms.map(|terms| terms.fields.keys().map(ToString::to_string).collect()),
            verbs: terms.map(|terms| terms.verbs.iter().map(ToString::to_string).collect()).unwrap_or_default(),
            doors: terms.map(|terms| terms.doors.iter().map(|door| door.word().to_owned()).collect()),
            for_assistants: terms.is_some_and(|terms| terms.doors.contains(&Door::Mcp)),
        }
    }
}

/// Asks at the door.
pub struct Asked {
    client: Client,
    reach: Reach,
}

impl Asked {
    pub fn new(client: Client, reach: Reach) -> Self {
        Self { client, reach }
    }

    /// The links of whoever runs this.
    pub async fn links(&self) -> Outcome<Vec<view::LinkEntry>> {
        Ok(self.client.get("/v1/links").await?)
    }

    /// `sources`.
    pub async fn sources(&self, SourcesCall {}: SourcesCall) -> Outcome<CallToolResult> {
        let links = self.links().await?;
        let told =
            Told { sources: std::iter::once(SourceTold::here()).chain(links.iter().map(SourceTold::of)).collect() };
        told_as(&told, words::sources(&told), None)
    }

    /// `list`.
    pub async fn list(&self, call: ListCall) -> Outcome<CallToolResult> {
        let kind = kind(&call.kind)?;
        let limit = call.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Failure::new(Exit::Usage, format!("limit is {limit}"))
                .next(format!("give 1 to {MOST}, or leave it out for {USUAL}")));
        }
        let (from, cursor) = (call.from, call.cursor.filter(|cursor| !cursor.is_empty()));
        let question = view::ListQuestion {
            from,
            limit: Some(limit),
            body: call.body,
            cursor,
            fresh: call.fresh,
            ..view::ListQuestion::default()
        };
        let page: Page = self.client.get(&asking(&format!("/v1/rows/{kind}"), &question)?).await?;
        let (page, cut) = size::page(page);
        told_as(&page, words::page(&page, cut.as_deref()), cut)
    }

    /// `get`.
    pub async fn get(&self, call: GetCall) -> Outcome<CallToolResult> {
        let begin = call.body_from;
        let (one, cut) = self.row(&call.kind, &call.id, call.from, (begin, call.fresh)).await?;
        told_as(&one, words::one(&one, cut.as_deref()), cut)
    }

    /// A row that was named as a resource, in words.
    pub async fn resource(&self, uri: &str) -> Outcome<String> {
        let parts = uri.strip_prefix("mosaic://").map(|rest| rest.split('/').collect::<Vec<_>>());
        let Some(&[source, kind, id]) = parts.as_deref() else {
            let cause = "the address is not that of a row";
            return Err(Failure::new(Exit::Usage, cause).next(format!("give {TEMPLATE}, as in mosaic://here/tasks/ID")));
        };
        let (one, cut) = self.row(kind, id, Some(source.to_owned()), (0, false)).await?;
        match one.row {
            Some(_) => Ok(words::one(&one, cut.as_deref())),
            None => Err(Failure::new(Exit::Missing, words::one(&one, None).replace('\n', " "))
                .next("list rows of this kind with the tool `list`")),
        }
    }

    async fn row(
        &self,
        name: &str,
        id: &str,
        from: Option<String>,
        (begin, fresh): (usize, bool),
    ) -> Outcome<(One, Option<String>)> {
        let kind = kind(name)?;
        if id.trim().is_empty() {
            return Err(Failure::new(Exit::Usage, "id is empty")
                .next("give at least the first four characters of an id, as `list` shows it"));
        }
        let question = view::GetQuestion { from, fresh, strict: false };
        let mut one: One = self.client.get(&asking(&format!("/v1/rows/{kind}/{}", segment(id)), &question)?).await?;
        let cut = one.row.as_mut().and_then(|row| size::row(row, begin));
        Ok((one, cut))
    }

    /// `explain`.
    pub async fn explain(&self, call: ExplainCall) -> Outcome<CallToolResult> {
        let kind = kind(&call.kind)?;
        let question = view::ExplainQuestion { from: call.from, id: call.id };
        let told: view::Explanation = self.client.get(&asking(&format!("/v1/explain/{kind}"), &question)?).await?;
        told_as(&told, words::explained(&told), None)
    }

    /// A failure as the answer of a tool: cause and next step, for whoever asked to read.
    pub fn failed(&self, failure: &Failure) -> CallToolResult {
        CallToolResult::error(vec![ContentBlock::text(self.words(failure))])
    }

    /// A failure in one line.
    pub fn words(&self, failure: &Failure) -> String {
        let next = failure.next.as_deref().map(|next| format!("; next: {}", self.reach.rewrite(next)));
        crate::out::escaped(&format!("{}{}", failure.cause, next.unwrap_or_default()))
    }
}

/// The address of one row.
pub const TEMPLATE: &str = "mosaic://{source}/{kind}/{id}";

/// The arguments of a call.
pub fn arguments<T: DeserializeOwned>(given: Option<JsonObject>) -> Outcome<T> {
    serde_json::from_value(Value::Object(given.unwrap_or_default())).map_err(|cause| {
        Failure::new(Exit::Usage, format!("the arguments are not in their form: {cause}"))
            .next("give what the tool's input schema names, and nothing else")
    })
}

fn kind(name: &str) -> Outcome<Resource> {
    let kinds = || format!("give one of {}", Kinds::builtin().listed());
    let kind = name.parse().map_err(|_| Failure::new(Exit::Usage, "kind is no kind of row").next(kinds()))?;
    known_kind(&kind).map_err(|failure| failure.next(kinds()))?;
    Ok(kind)
}

/// What is not seen, or changes how other text is seen, is written out: whoever looks over an assistant's shoulder sees what it reads.
fn make_visible(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(|c: char| say::is_hidden(c) && !c.is_ascii_whitespace()) => {
            *text = text.split_inclusive(|c: char| c.is_ascii_whitespace()).map(made_visible).collect();
        }
        Value::Array(values) => values.iter_mut().for_each(make_visible),
        Value::Object(members) => {
            *members = std::mem::take(members).into_iter().map(|(name, value)| (escaped(&name), value)).collect();
            members.values_mut().for_each(make_visible);
        }
        _ => {}
    }
}

/// A word, and the blank or line break after it, which stays.
fn made_visible(word: &str) -> String {
    let bare = word.trim_end_matches(|c: char| c.is_ascii_whitespace());
    escaped(bare) + &word[bare.len()..]
}

fn told_as(value: &impl Serialize, text: String, cut: Option<String>) -> Outcome<CallToolResult> {
    let mut value = serde_json::to_value(value).map_err(Failure::of)?;
    make_visible(&mut value);
    if let (Some(cut), Some(object)) = (cut, value.as_object_mut()) {
        object.insert("cut_off".to_owned(), json!(cut));
    }
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    Ok(result)
}
