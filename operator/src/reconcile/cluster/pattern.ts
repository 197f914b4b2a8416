import { customerIdPattern } from '../../domain/customerid.ts';

/** More free quantifiers or alternatives than these, and a hostile value could keep a backtracking matcher busy. */
const most = { quantifiers: 3, alternatives: 9 };

/**
 * What is wrong with the pattern of a customer id; `undefined` = nothing. It is compared with what clients send, so it
 * must speak of the whole text, be understood alike everywhere (RE2's grammar), and be decided quickly for any text.
 */
export function patternFault(pattern: string): string | undefined {
  if (customerIdPattern(pattern) === undefined) return 'is no regular expression';
  const tokens = tokensOf(pattern);
  if (tokens[0] !== '^' || tokens.at(-1) !== '$') return 'must begin with ^ and end with $';
  const inner = tokens.slice(1, -1);
  if (inner.some((token) => token === '^' || token === '$')) return 'must have ^ and $ at its ends only';
  if (inner.some((token) => /^\\([1-9]|k)/.test(token))) return 'must not refer back to a group';
  if (inner.some((token) => /^\(\?(?!:)/.test(token))) return 'must have no groups but (…) and (?:…)';
  if (hasTopLevelAlternative(inner)) return 'must put its alternatives in a group, so that ^ and $ speak of all of them';
  if (inner.some((token, at) => token === ')' && isQuantifier(inner[at + 1]))) return 'must not repeat a group';
  const quantifiers = inner.filter((token) => isQuantifier(token) && !/^\{[0-9]+\}$/.test(token)).length;
  if (quantifiers > most.quantifiers) return `must have at most ${most.quantifiers} of *, +, ? and {…,…}`;
  const alternatives = 1 + inner.filter((token) => token === '|').length;
  return alternatives > most.alternatives ? `must have at most ${most.alternatives} alternatives` : undefined;
}

/** Escapes, character classes, the openings of groups and quantifiers are one token each; anything else is one character. */
function tokensOf(pattern: string): readonly string[] {
  return (
    pattern.match(
      /\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|<[^>]*>|[a-z-]*:?)|(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??|./gsu,
    ) ?? []
  );
}

function isQuantifier(token: string | undefined): boolean {
  return token !== undefined && /^([*+?]|\{[0-9])/.test(token);
}

function hasTopLevelAlternative(tokens: readonly string[]): boolean {
  let depth = 0;
  for (const token of tokens) {
    if (token.startsWith('(')) depth += 1;
    else if (token === ')') depth -= 1;
    else if (token === '|' && depth === 0) return true;
  }
  return false;
}
