/** One thing that Keywright must do. */
export interface Requirement {
  /** As `S2-17`. */
  readonly id: string;
  readonly text: string;
}

/** What the titles of the tests say about the requirements. */
export interface Coverage {
  /** No title names these. */
  readonly untested: readonly Requirement[];
  /** Titles name these, and nobody asks for them. */
  readonly unknown: readonly { readonly id: string; readonly file: string }[];
}

/**
 * Compares the ids in square brackets in the tests' titles, as `[S2-17]` or `[S2-16, S2-17]`, with the requirements. Only
 * the sources are read, so that a layer that did not run counts too.
 */
export function coverage(
  requirements: readonly Requirement[],
  tests: readonly { readonly file: string; readonly text: string }[],
): Coverage {
  const named = tests.flatMap(({ file, text }) => namedIds(text).map((id) => ({ id, file })));
  const ids = new Set(named.map((one) => one.id));
  const known = new Set(requirements.map((one) => one.id));
  return {
    untested: requirements.filter((one) => !ids.has(one.id)),
    unknown: named.filter((one) => !known.has(one.id)),
  };
}

function namedIds(text: string): string[] {
  const brackets = text.match(/\[S\d+-\d+(?:[, ]+S\d+-\d+)*\]/g) ?? [];
  return brackets.flatMap((one) => one.match(/S\d+-\d+/g) ?? []);
}
