/**
 * Whether every part of Keywright can keep this text: PostgreSQL refuses NUL, and an unpaired surrogate has no UTF-8 form, so that two
 * parts would see different texts.
 */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** A line for a terminal. Texts come from manifests, destinations and the database: no control character of theirs may reach it. */
export function printable(line: string): string {
  return line.replace(/\p{C}/gu, '?');
}
