/**
 * What a scalar of a manifest is. kubectl reads YAML 1.1 by the rules of go-yaml (go.yaml.in/yaml/v2, resolve.go) and sends JSON, so
 * these are the rules here: `yes` is true, `0123` is octal, `1_000` a number, a date a text. Not the rules of YAML 1.2.
 */
export type Scalar = string | number | bigint | boolean | null;

/** How a scalar stands in the text. */
export interface ScalarSource {
  /** Without quotes and escapes. */
  readonly text: string;
  /** Neither quoted nor a block (`|`, `>`). */
  readonly isPlain: boolean;
  /** In full, as `tag:yaml.org,2002:int`. */
  readonly tag: string | undefined;
}

type Tag = 'str' | 'bool' | 'int' | 'float' | 'null' | 'timestamp';

interface Resolved {
  readonly tag: Tag;
  readonly value: Scalar;
}

const core = 'tag:yaml.org,2002:';
const resolvable: readonly string[] = ['str', 'bool', 'int', 'float', 'null', 'timestamp'] satisfies Tag[];

/** Its value; `undefined` = it does not fit its tag, or JSON has no such number (`.inf`, `.nan`). A `bigint` needs more than 53 bits. */
export function resolveScalar({ text, isPlain, tag }: ScalarSource): Scalar | undefined {
  if (tag === undefined) return isPlain ? inJson(resolve(text).value) : text;
  const name = tag.startsWith(core) ? tag.slice(core.length) : undefined;
  if (name === 'binary') return fromBase64(text);
  // A tag of somebody's own says nothing to kubectl either.
  if (name === undefined || name === 'str' || !resolvable.includes(name)) return text;
  if (name === 'timestamp') return isTimestamp(text) ? text : undefined;
  const found = resolve(text);
  const fits = found.tag === name || (name === 'float' && found.tag === 'int');
  return fits ? inJson(found.value) : undefined;
}

/** A scalar as the name of a member; `undefined` = it cannot be one. */
export function keyOf(value: Scalar | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'number' && !Number.isSafeInteger(value) ? formatFloat32(value) : String(value);
}

const words: ReadonlyMap<string, Resolved> = new Map(
  (
    [
      ['bool', true, 'y Y yes Yes YES true True TRUE on On ON'],
      ['bool', false, 'n N no No NO false False FALSE off Off OFF'],
      ['null', null, ' ~ null Null NULL'],
      ['float', Number.NaN, '.nan .NaN .NAN'],
      ['float', Infinity, '.inf .Inf .INF +.inf +.Inf +.INF'],
      ['float', -Infinity, '-.inf -.Inf -.INF'],
    ] as const
  ).flatMap(([tag, value, texts]) => texts.split(' ').map((text) => [text, { tag, value }] as const)),
);

function resolve(text: string): Resolved {
  const word = words.get(text);
  if (word !== undefined) return word;
  const value = /^[-+0-9]/.test(text) ? numberIn(text.replaceAll('_', '')) : text.startsWith('.') ? fractionIn(text) : undefined;
  if (value === undefined) return { tag: 'str', value: text };
  return typeof value === 'bigint' ? { tag: 'int', value: asNumber(value) } : { tag: 'float', value };
}

/** An integer (a `bigint` here) or a float. `08` is no octal number, but a float. */
function numberIn(text: string): bigint | number | undefined {
  return integerIn(text) ?? (/^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text) ? finite(text) : undefined);
}

/** In what Go writes (strconv.ParseInt with base 0), within 64 bits; and `0b-1`, which go-yaml takes. */
function integerIn(text: string): bigint | undefined {
  const odd = /^0b([-+]?)([01]+)$/.exec(text);
  const [, sign = '', digits = ''] = odd ?? /^([-+]?)([0-9].*)$/.exec(text) ?? [];
  const value = odd === null ? magnitude(digits) : BigInt(`0b${digits}`);
  if (value === undefined) return undefined;
  const limit = sign === '' ? 2n ** 64n - 1n : sign === '-' ? 2n ** 63n : 2n ** 63n - 1n;
  return value > limit ? undefined : sign === '-' ? -value : value;
}

function magnitude(digits: string): bigint | undefined {
  // Longer ones need more than 64 bits, and would be slow; zeros in front are as many as somebody likes.
  const zeros = /^0[xXoObB]?0*/.exec(digits)?.[0].length ?? 0;
  if (digits.length - zeros > 64) return undefined;
  if (/^(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0|[1-9][0-9]*)$/.test(digits)) return BigInt(digits.toLowerCase());
  return /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : undefined;
}

/** `.5`, and `.5_0` (strconv.ParseFloat). */
function fractionIn(text: string): number | undefined {
  const isNumber = /^\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?$/.test(text);
  return isNumber ? finite(text.replaceAll('_', '')) : undefined;
}

/** A number that is too large for a float stays a text. */
function finite(text: string): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function asNumber(value: bigint): number | bigint {
  const short = Number(value);
  return Number.isSafeInteger(short) ? short : value;
}

function inJson(value: Scalar): Scalar | undefined {
  return typeof value === 'number' && !Number.isFinite(value) ? undefined : value;
}

const timestamp =
  /^[0-9]{4}-([0-9]{1,2})-([0-9]{1,2})(?:(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2}))|(?: ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.[0-9]+)?))?$/;

function isTimestamp(text: string): boolean {
  const found = timestamp.exec(text);
  if (found === null) return false;
  const [month = 0, day = 0, ...time] = found
    .slice(1)
    .filter((part) => part !== undefined)
    .map(Number);
  const year = Number(text.slice(0, 4));
  const [hour = 0, minute = 0, second = 0] = time;
  const daysInMonth = new Date(Date.UTC(year === 0 ? 2000 : year, month, 0)).getUTCDate();
  return month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth && hour < 24 && minute < 60 && second < 60;
}

function fromBase64(text: string): string | undefined {
  const compact = text.replaceAll(/[\r\n]/g, '');
  const isBase64 = compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
  return isBase64 ? Buffer.from(compact, 'base64').toString('utf8') : undefined;
}

/** As Go writes a float of 32 bits with as few digits as possible (strconv.FormatFloat(…, 'g', -1, 32)). */
function formatFloat32(value: number): string {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) return rounded > 0 ? '.inf' : '-.inf';
  let digits = 1;
  while (digits < 9 && Math.fround(Number(value.toPrecision(digits))) !== rounded) digits += 1;
  const short = Number(value.toPrecision(digits));
  const exponent = short === 0 ? 0 : Math.floor(Math.log10(Math.abs(short)));
  if (exponent >= -4 && exponent < 21) return String(short);
  const [mantissa = '', power = ''] = short.toExponential().split('e');
  return `${mantissa}e${power.replace(/^([-+])([0-9])$/, '$10$2')}`;
}
