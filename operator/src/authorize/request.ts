import type { Plaintext } from '../domain/plaintext.ts';

/**
 * One request to be decided, as every gateway adapter builds it: no HTTP types. What is absent was not said; nothing
 * here was judged yet.
 */
export interface AuthRequest {
  /** What was presented as the key; `undefined` = nothing, `malformed` = something that is no text. */
  readonly credential: Plaintext | undefined | 'malformed';
  /** The catalog that the caller named. */
  readonly catalog: string | undefined;
  /** `http` or `https`, see `normaliseScheme`; absent = not said, which counts as http. */
  readonly scheme: string | undefined;
  readonly host: string;
  readonly method: string;
  /** The raw target as the client sent it, with its query: a path, or the absolute form. */
  readonly path: string;
  readonly application: string | undefined;
  readonly customer: string | undefined;
  readonly targetChannels: readonly string[] | undefined;
  readonly attributes: readonly string[] | undefined;
  /** The client's address, perhaps with a port or a zone; absent = unknown. */
  readonly sourceIp: string | undefined;
  /** The client's User-Agent, as it came: only told to people, never judged. */
  readonly userAgent?: string | undefined;
  /** Whether the client asks to switch protocols; absent = no. */
  readonly upgrade?: boolean;
}
