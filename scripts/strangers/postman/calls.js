// Has newman make every call of a collection once, in its order except for those that delete, which come last, and says "ok", or what was answered otherwise than with
// 2xx. An operation whose document shows no success by an example, since nobody could send it (a session's secrets are drawn
// afresh), may be answered as one of its examples of an error has it, or, where it has none, with a status that it has.
"use strict";
const { readFileSync } = require("node:fs");
const newman = require("newman");

const [name, documentFile, collectionFile] = process.argv.slice(2);
const document = JSON.parse(readFileSync(documentFile));
const collection = JSON.parse(readFileSync(collectionFile));

// A stream lasts until its caller ends it, which newman does not.
const lasts = ({ request }) => request?.header?.some(({ key, value }) => key === "Accept" && value === "text/event-stream");
const without = (items) => items.filter((item) => !lasts(item)).map((item) => (item.item ? { ...item, item: without(item.item) } : item));
collection.item = without(collection.item);

const flat = (item) => (item.item ? item.item.flatMap(flat) : [item]);
const deletes = ({ request }) => request.method === "DELETE";
collection.item = flat(collection).toSorted((a, b) => deletes(a) - deletes(b));
const resolved = (value) => (value?.$ref ? value.$ref.split("/").slice(1).reduce((at, step) => at[step], document) : value);

// What somebody sets who was given credentials: the key, or the client to get tokens for, at the URL that was imported.
async function credentials() {
  const { clients } = await (await fetch(process.env.PINVAULT_URL + "/sandbox/fixtures")).json();
  const client = clients[name] ?? {};
  for (const { request } of flat(collection).filter(({ request }) => request.auth?.type === "oauth2")) {
    const of = Object.fromEntries(request.auth.oauth2.map(({ key, value }) => [key, value]));
    const granted = await fetch(of.accessTokenUrl, {
      method: "POST",
      body: new URLSearchParams({ grant_type: of.grant_type, client_id: client.client_id, client_secret: client.client_secret }),
    });
    request.auth.oauth2.push({ key: "accessToken", value: (await granted.json()).access_token }, { key: "addTokenTo", value: "header" });
  }
  return [{ key: "apiKey", value: client["x-api-key"] ?? "" }];
}

// operationOf is the operation of a call, by its path with the parameters' names.
function operationOf(request) {
  const path = "/" + request.url.path.map((step) => step.replace(/^:(.*)$/, "{$1}")).join("/");
  return document.paths[path][request.method.toLowerCase()];
}

function wrong(request, response, failure) {
  if (response === undefined) return failure?.message ?? "no answer";
  if (response.code >= 200 && response.code < 300) return undefined;
  const said = `${response.code} ${response.text().slice(0, 300)}`;
  const { responses, "x-unsent": unsent = {} } = operationOf(request);
  const examples = (status) =>
    Object.values(resolved(responses[status]).content ?? {}).flatMap(({ examples = {} }) =>
      Object.entries(examples).flatMap(([row, e]) => (status.startsWith("2") && row in unsent ? [] : [resolved(e).value])));
  const showsSuccess = Object.keys(responses).some((status) => status.startsWith("2") && examples(status).length > 0);
  const documented = responses[response.code] && response.code < 500;
  if (showsSuccess || !documented) return said;
  const all = examples(String(response.code));
  return all.length === 0 || all.some(({ code, title }) => code === response.json().code && title === response.json().title) ? undefined : said;
}

credentials().then((envVar) =>
  newman.run({ collection, envVar, reporters: [] }, (failure, summary) => {
    if (failure) throw failure;
    const { executions } = summary.run;
    const found = executions.flatMap(({ item, response, requestError }) => {
      const what = wrong(item.request.toJSON(), response, requestError);
      return what ? [`${item.name}: ${what}`] : [];
    });
    if (executions.length !== flat(collection).length || executions.length === 0) found.push("not every call was made");
    console.log((found.length ? `${found.length} of ${executions.length} calls, first ${found[0]}` : "ok").replace(/\s+/g, " "));
  }),
);
