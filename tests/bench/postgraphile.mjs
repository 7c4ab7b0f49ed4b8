// PostGraphile 5 over one view, as its documentation sets it up for production; prints its address.

import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { jsonPgSmartTags } from "postgraphile/utils";

const { DATABASE_URL, CONNECTIONS, CLIENT, PURPOSE, SCHEMA } = process.env;

const preset = {
  extends: [PostGraphileAmberPreset],
  // A view has no key of its own; without one there would be no cursor, and pages would be read by OFFSET.
  plugins: [
    jsonPgSmartTags({ version: 1, config: { class: { [`${SCHEMA}.trainable_content`]: { tags: { primaryKey: "id" } } } } }),
  ],
  pgServices: [
    makePgService({
      connectionString: DATABASE_URL,
      schemas: [SCHEMA],
      pubsub: false,
      pgSettings: () => ({ "grounds.client": CLIENT, "grounds.purpose": PURPOSE }),
      poolConfig: { max: Number(CONNECTIONS), idleTimeoutMillis: 0 },
    }),
  ],
  grafserv: { graphiql: false, websockets: false },
  grafast: { explain: false },
};

const server = createServer();
await postgraphile(preset).createServ(grafserv).addTo(server);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
