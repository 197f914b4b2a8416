import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BundledPackage } from './packages.ts';

const rule = `\n\n${'-'.repeat(80)}\n\n`;
const licenceFile = /^(un)?licen[cs]e|^notice|^copying/i;
/** In a readme: the heading, and all that follows it. */
const licenceChapter = /^(?:#+ *)?licen[cs]e *$[^]*/im;

/**
 * Our licence, and every licence and notice that those packages carry: who hands the bundle on hands these on. Throws for a
 * package without a text of its own, unless its licence is ours, whose text is there.
 */
export function licenceTexts(root: string, packages: readonly BundledPackage[]): string {
  const ours = readFileSync(join(root, 'LICENSE'), 'utf8').trim();
  const sections = packages.map((one) => {
    const name = `${one.name} ${one.version} (${one.licences.join(', ')})`;
    const texts = textsOf(join(root, one.folder));
    if (texts.length === 0 && one.licences.join() !== 'Apache-2.0') throw new Error(`${name} brings no text of its licence`);
    return [name, ...texts].join('\n\n');
  });
  return `${['Keywright (Apache-2.0)', ours].join('\n\n')}${rule}It holds these packages.${rule}${sections.join(rule)}\n`;
}

function textsOf(folder: string): readonly string[] {
  const names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8').trim();
  const files = names.filter((name) => licenceFile.test(name)).sort();
  if (files.length > 0) return files.map(read);
  return names.filter((name) => /^readme/i.test(name)).flatMap((name) => licenceChapter.exec(read(name))?.[0] ?? []);
}
