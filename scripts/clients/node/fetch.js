// Node's own fetch, whose defaults are left as they are.

async function sent(at, init) {
  const reply = await fetch(at, init);
  const text = await reply.text();
  return { status: reply.status, body: text && JSON.parse(text) };
}

export const client = {
  name: 'fetch',
  // fetch has no body on GET, and says itself what type a form has.
  get: (at, headers) => sent(at, { headers }),
  form: (at, fields) => sent(at, { method: 'POST', body: new URLSearchParams(fields) }),
  basic: (at, fields, id, secret) =>
    sent(at, { method: 'POST', headers: { Authorization: `Basic ${btoa(`${id}:${secret}`)}` }, body: new URLSearchParams(fields) }),
  json: (at, headers, value, method = 'POST') =>
    sent(at, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(value) }),
  text: (at, headers, type, body) => sent(at, { method: 'POST', headers: { 'Content-Type': type, ...headers }, body }),
  nothing: (at, headers) => sent(at, { method: 'POST', headers }),
};
