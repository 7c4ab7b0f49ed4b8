import { DashboardDocument, type DashboardQuery, type DashboardQueryVariables } from "./gql/graphql";

/** Reads the published counts. The role DASHBOARD needs a token; the page's origin must be in GROUNDS_ORIGINS. */
export async function readCounts(url: string, token: string, variables: DashboardQueryVariables): Promise<DashboardQuery> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const body = JSON.stringify({ query: DashboardDocument.toString(), variables });
  const { data, errors } = await (await fetch(url, { method: "POST", headers, body })).json();
  if (errors) throw new Error(errors[0].message);
  return data as DashboardQuery;
}

/** Writes a count with its margin of error; a count that is too small is withheld. */
export function write(count: number | null | undefined, margin: number): string {
  return count == null ? "withheld" : margin ? `${count} ± ${margin}` : `${count}`;
}

export function series({ coverageSeries }: DashboardQuery): string[] {
  return coverageSeries.map(({ day, permitted, margin }) => `${day}: ${write(permitted, margin)}`);
}

export function countries({ coverage }: DashboardQuery): string[] {
  return (coverage?.rows ?? []).map(({ key, permitted, margin }) => `${key[0]?.value}: ${write(permitted, margin)}`);
}
