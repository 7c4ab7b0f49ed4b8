// The audits of the npm package `graphql-http`, sent with a bearer token.
import { auditServer } from "graphql-http";

const [url, token] = process.argv.slice(2);
const withToken = (target, options = {}) =>
  fetch(target, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } });
const results = await auditServer({ url, fetchFn: withToken });
const failed = results.filter((result) => result.status !== "ok");
for (const { status, name, reason } of failed) console.log(`${status}: ${name}: ${reason}`);
console.log(`${results.length - failed.length} of ${results.length} audits passed`);
process.exit(failed.length ? 1 : 0);
