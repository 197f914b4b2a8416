import { readFileSync } from 'node:fs';

const page = new URL('../../docs/destinations/vault.md', import.meta.url);

/** A block of the page on Vault, by its language and name: `guideBlock('hcl policy')`. */
export function guideBlock(label: string): string {
  const text = readFileSync(page, 'utf8');
  const found = [...text.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)].filter(([, info]) => info === label);
  const [only, ...more] = found.map(([, , content]) => content);
  if (only === undefined || more.length > 0) throw new Error(`the page on Vault has no single block "${label}"`);
  return only;
}

/** The policy of the page, for another folder than `keywright`: tests share one server. */
export function guidePolicy(folder: string): string {
  return guideBlock('hcl policy').replaceAll('/keywright/', `/${folder}/`);
}
