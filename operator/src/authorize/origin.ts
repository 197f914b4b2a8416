import { parseHost } from './host.ts';
import type { AuthRequest } from './request.ts';
import { parseTarget } from './target.ts';
import type { Target } from './target.ts';

const schemeOfSocket: ReadonlyMap<string, string> = new Map([
  ['ws', 'http'],
  ['wss', 'https'],
]);
const defaultPorts: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
]);

/** A scheme as the rules compare it: in lower case; for a WebSocket, the scheme of its opening request (RFC 6455 section 3). */
export function normaliseScheme(text: string): string {
  const scheme = text.toLowerCase();
  return schemeOfSocket.get(scheme) ?? scheme;
}

/**
 * Cuts the target of a request. A client may also send its absolute form, `https://host/path` (RFC 9112 section 3.2.2), and the API
 * then believes this host instead of the header: a target of another host, port or scheme than the request names is refused.
 */
export function targetOf({ path, host, scheme }: Pick<AuthRequest, 'path' | 'host' | 'scheme'>): Target {
  const [, start, authority = '', rest = ''] = /^([A-Za-z]{2,5}):\/\/([^/?#\\]*)(.*)$/s.exec(path) ?? [];
  if (start === undefined) return parseTarget(path);
  const named = normaliseScheme(start);
  const port = defaultPorts.get(named);
  if (port === undefined) return { kind: 'refused', fault: 'not a path' };
  const [ours, theirs] = [parseHost(host), parseHost(authority)];
  const isSame = theirs !== undefined && theirs.name === ours?.name && (theirs.port ?? port) === (ours.port ?? port);
  if (!isSame || (scheme !== undefined && scheme !== named)) return { kind: 'refused', fault: 'another origin' };
  return parseTarget(rest.startsWith('/') ? rest : `/${rest}`);
}
