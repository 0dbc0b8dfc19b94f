// axios, whose defaults are left as they are, except for replies that are no success: they are looked at like all others.
import axios from 'axios';

const own = axios.create({ validateStatus: null });
const sent = async (promise) => {
  const { status, data: body } = await promise;
  return { status, body };
};

export const client = {
  name: 'axios',
  // Whoever wraps axios writes one call for all methods: a GET has the data {} then.
  get: (at, headers) => sent(own.request({ method: 'get', url: at, headers: { 'Content-Type': 'application/json', ...headers }, data: {} })),
  form: (at, fields) => sent(own.post(at, new URLSearchParams(fields))),
  basic: (at, fields, username, password) => sent(own.post(at, new URLSearchParams(fields), { auth: { username, password } })),
  json: (at, headers, value, method = 'POST') => sent(own.request({ method, url: at, headers, data: value })),
  text: (at, headers, type, body) => sent(own.post(at, body, { headers: { 'Content-Type': type, ...headers } })),
  nothing: (at, headers) => sent(own.post(at, undefined, { headers })), // of type application/x-www-form-urlencoded
};

/** What the partner's page prints for NodeJs: no data, and Content-Type named all the same. */
export const asPrinted = (url, headers) =>
  sent(own.request({ method: 'get', maxBodyLength: Infinity, url, headers: { ...headers, 'Content-Type': 'application/json' } }));

/** A POST whose data is null, of type JSON. */
export const nullPosted = (url, headers) => sent(own.post(url, null, { headers: { 'Content-Type': 'application/json', ...headers } }));
