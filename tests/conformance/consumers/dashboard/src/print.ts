import { countries, readCounts, series } from "./dashboard";

async function main(url: string, firstDay: string, lastDay: string): Promise<void> {
  const found = await readCounts(url, process.env.GROUNDS_TOKEN ?? "", { firstDay, lastDay });
  console.log([...series(found), ...countries(found)].join("\n"));
}

main(process.argv[2]!, process.argv[3]!, process.argv[4]!);
