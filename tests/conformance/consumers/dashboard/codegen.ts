import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "schema.graphql",
  documents: "operations/*.graphql",
  generates: {
    "src/gql/": { preset: "client", config: { documentMode: "string", scalars: { Date: "string", DateTime: "string" } } },
  },
};
export default config;
