import { readFileSync } from 'node:fs';

/** A block of a page under `docs/destinations`, by its language and name: `guideBlock('aws', 'json policy')`. */
export function guideBlock(page: string, label: string): string {
  return docsBlock(`destinations/${page}`, label);
}

/** A block of any page under `docs`: `docsBlock('how-to/gitops', 'sh health')`. */
export function docsBlock(page: string, label: string): string {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  const found = [...text.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)].filter(([, info]) => info === label);
  const [only, ...more] = found.map(([, , content]) => content);
  if (only === undefined || more.length > 0) throw new Error(`the page ${page} has no single block "${label}"`);
  return only;
}
