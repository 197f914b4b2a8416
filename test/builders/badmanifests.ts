/** Manifests that cost the most for their size, to `bytes` characters each; the names say what is bad. */
export function badManifests(bytes: number): Readonly<Record<string, string>> {
  const fill = (text: string): string => text.repeat(Math.ceil(bytes / text.length));
  const lines = (line: (at: number) => string): string => {
    const all: string[] = [];
    for (let at = 0, length = 0; length < bytes; at += 1) {
      const one = line(at);
      all.push(one);
      length += one.length + 1;
    }
    return all.join('\n');
  };
  const key = 'apiVersion: keywright.dev/v1alpha1\nkind: ApiKey\nmetadata: { name: bad }\nspec:\n';
  const spaced = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n`;
  return {
    'unknown fields': key + lines((at) => `  f${at}: 1`),
    'repeated keys': key + fill('  a: 1\n'),
    'a long key': `${key}  ${fill('k')}: 1\n`,
    'a long value': `${key}  displayName: "${fill('x')}"\n`,
    'a long value of escapes': `${key}  displayName: "${fill(String.raw`\x41`)}"\n`,
    'a long flow sequence': `[${fill('a,')}]`,
    'a sequence of sequences': `[${fill('[],')}]`,
    'a long flow map': `{${lines((at) => `k${at}: 1,`)}}`,
    'deep nesting': `${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}`,
    'unclosed nesting': fill('['),
    'block nesting': fill('- '),
    'many documents': fill('---\na: 1\n'),
    'many empty documents': fill('---\n'),
    'many foreign documents': fill('---\napiVersion: v1\nkind: Pod\n'),
    'many namespaces': lines((at) => `---\n${spaced(`n${at}`)}`),
    'billion laughs': laughs(bytes),
    'aliases of one anchor': `a: &a x\nb: [${fill('*a,')}]\n`,
    'an anchor and an alias each line': lines((at) => `- &a${at} x\n- *a${at}`),
    'annotations of aliased text': `${spaced('bad')}  annotations:\n    a: &a ${fill('x').slice(0, bytes / 2)}\n${lines((at) => `    b${at}: *a`).slice(0, bytes / 2)}\n`,
    'many annotations': `${spaced('bad')}  annotations:\n${lines((at) => `    a${at}: "1"`)}\n`,
    'an error each line': fill('a: }\n'),
    quotes: fill('"'),
    'unknown tags': fill('- !x x\n'),
    directives: fill('%X y\n'),
    comments: fill('# x\n'),
    'blank lines': fill('\n'),
    'no text': '\0'.repeat(bytes),
  };
}

/** Ten levels of nine aliases each: 3.5 thousand million values. The rest is comments. */
function laughs(bytes: number): string {
  const names = [...'abcdefghij'];
  const levels = names.map((name, at) => {
    const below = names[at - 1];
    return `${name}: &${name} [${Array<string>(9)
      .fill(below === undefined ? 'ha' : `*${below}`)
      .join(', ')}]`;
  });
  return `${levels.join('\n')}\n${'# ha\n'.repeat(Math.ceil(bytes / 5))}`;
}
