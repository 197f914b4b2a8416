/**
 * Whether every part of Keywright can keep this text: PostgreSQL refuses NUL, and an unpaired surrogate has no UTF-8 form, so that two
 * parts would see different texts.
 */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
