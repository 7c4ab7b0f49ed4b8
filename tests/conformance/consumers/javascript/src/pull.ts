import { PullDocument, type PullQuery, type PullQueryVariables } from "./gql/graphql";

const { __meta__ } = PullDocument as typeof PullDocument & { __meta__: { hash: string } };

async function page(url: string, variables: PullQueryVariables): Promise<PullQuery["trainableContent"]> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${process.env.GROUNDS_TOKEN}` };
  const body = JSON.stringify({ documentId: __meta__.hash, variables });
  const { data, errors } = await (await fetch(url, { method: "POST", headers, body })).json();
  if (errors) throw new Error(errors[0].message);
  return (data as PullQuery).trainableContent;
}

async function main(url: string): Promise<void> {
  let count = 0;
  let after: string | null | undefined = null;
  do {
    const { nodes, pageInfo }: PullQuery["trainableContent"] = await page(url, { first: 100, after });
    for (const { text, reason } of nodes) if (text.length >= 0 && reason.receipt) count += 1;
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } while (after);
  console.log(count);
}

main(process.argv[2]!);
