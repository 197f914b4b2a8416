/**
 * Compiles the pattern of customer ids of a catalog, for the whole text, also when its author wrote `^a|b$`. It matches code points,
 * so that `\p{L}` means a letter. Whatever checks or uses such a pattern compiles it here. `undefined` = not a regular expression.
 */
export function customerIdPattern(pattern: string): RegExp | undefined {
  try {
    // A pattern such as `a)|(b` compiles only within the parentheses.
    new RegExp(pattern, 'u');
    return new RegExp(`^(?:${pattern})$`, 'u');
  } catch {
    return undefined;
  }
}
