/** A number from 0 to 2³² − 1 that is fixed by a UID: spreads what keys would else do at once, and needs no memory. 0 when the text is no UUID. */
export function phaseOf(uid: string): number {
  const phase = Number.parseInt(uid.replaceAll('-', '').slice(0, 8), 16);
  return Number.isNaN(phase) ? 0 : phase;
}
