/** What is wrong with a target: it could mean something else to the API behind the gateway than to us. */
export type TargetFault =
  | 'not a path'
  | 'another origin'
  | 'character'
  | 'fragment'
  | 'backslash'
  | 'semicolon'
  | 'incomplete escape'
  | 'encoded control'
  | 'encoded delimiter'
  | 'not UTF-8'
  | 'empty segment'
  | 'dot segment';

/** A target cut into its segments. `/` has none. */
export interface PathTarget {
  readonly kind: 'path';
  readonly segments: readonly string[];
  /** Whether a segment still holds an escape. */
  readonly escaped: boolean;
}

/** A target, or why it is refused. */
export type Target = PathTarget | { readonly kind: 'refused'; readonly fault: TargetFault };

const slash = 0x2f;
const percent = 0x25;
const question = 0x3f;
/** RFC 3986, 3.3 `pchar` without `pct-encoded`, and without `;`, which some servers cut off as a path parameter. */
const plain = charset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@");
/** RFC 3986, 2.3: what means the same encoded and not. */
const unreserved = charset('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~');
/** What would cut the path, or itself begin an escape, for whoever decodes it. */
const encodedDelimiters = charset('/\\;?#%');

/**
 * Cuts a raw request target into canonical segments: unreserved characters are decoded once, other escapes keep their form
 * in upper case, nothing else changes. Never `new URL()`, which resolves `..`, `%2e%2e` and `\` before anybody has looked.
 * The query, from the first `?` on, is not looked at.
 */
export function parseTarget(raw: string): Target {
  if (raw.charCodeAt(0) !== slash) return refused(raw.includes('#') ? 'fragment' : 'not a path');
  const segments: string[] = [];
  let start = 1;
  let hasEscape = false;
  let escaped = false;
  for (let at = 1; ; at += 1) {
    // The end of the text ends the path as a `?` does.
    const code = at < raw.length ? raw.charCodeAt(at) : question;
    if (plain[code] === 1) continue;
    if (code === percent) {
      hasEscape = true;
      continue;
    }
    const ends = code === question;
    if (!ends && code !== slash) return refused(faultOf(code));
    if (ends && at === 1) break;
    const segment = readSegment(raw.slice(start, at), hasEscape);
    if (typeof segment !== 'string') return segment;
    segments.push(segment);
    escaped ||= hasEscape && segment.includes('%');
    if (ends) break;
    start = at + 1;
    hasEscape = false;
  }
  return raw.includes('#', start) ? refused('fragment') : { kind: 'path', segments, escaped };
}

/** What is wrong with a character that no segment may have. */
function faultOf(code: number): TargetFault {
  if (code === 0x23) return 'fragment';
  if (code === 0x3b) return 'semicolon';
  return code === 0x5c ? 'backslash' : 'character';
}

/** A segment with its remaining escapes decoded: what an API that decodes more than we do would take it for. */
export function decodeSegment(segment: string): string {
  return decodeURIComponent(segment);
}

function readSegment(raw: string, hasEscape: boolean): string | Target {
  const segment = hasEscape ? decodeUnreserved(raw) : raw;
  if (typeof segment !== 'string') return segment;
  if (segment === '') return refused('empty segment');
  return segment === '.' || segment === '..' ? refused('dot segment') : segment;
}

function decodeUnreserved(raw: string): string | Target {
  let decoded = '';
  for (let at = 0; at < raw.length; at += 1) {
    if (raw.charCodeAt(at) !== percent) {
      decoded += raw.charAt(at);
      continue;
    }
    const byte = readByte(raw, at);
    if (byte === undefined) return refused('incomplete escape');
    if (byte < 0x20 || byte === 0x7f) return refused('encoded control');
    if (encodedDelimiters[byte] === 1) return refused('encoded delimiter');
    decoded += unreserved[byte] === 1 ? String.fromCharCode(byte) : raw.slice(at, at + 3).toUpperCase();
    at += 2;
  }
  return checkUtf8(decoded);
}

/** Refuses overlong forms, surrogates and cut sequences, which decoders take for different characters; and C1 controls. */
function checkUtf8(segment: string): string | Target {
  try {
    return /[\u0080-\u009f]/.test(decodeURIComponent(segment)) ? refused('encoded control') : segment;
  } catch {
    return refused('not UTF-8');
  }
}

function readByte(text: string, at: number): number | undefined {
  const digits = text.slice(at + 1, at + 3);
  return /^[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
}

function refused(fault: TargetFault): Target {
  return { kind: 'refused', fault };
}

function charset(characters: string): Uint8Array {
  const set = new Uint8Array(128);
  for (let at = 0; at < characters.length; at += 1) set[characters.charCodeAt(at)] = 1;
  return set;
}
