/** Scheme, host and port of a server: all that an origin has (RFC 6454). */
export const originPattern = /^https?:\/\/[A-Za-z0-9.:[\]-]+$/;

/** The same with a plain path: no segment begins with a dot, so that none climbs out. */
export const addressPattern = /^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\/?$/;

/** Scheme, host and port in canonical form; `undefined` = not an http or https URL, or it has other parts. */
export function originOf(url: string): string | undefined {
  const parsed = originPattern.test(url) ? URL.parse(url) : null;
  return parsed === null || parsed.hostname === '' ? undefined : parsed.origin;
}

/**
 * The same with a path, such as that of a gateway in front of several servers; a slash at the end is ignored. Paths are
 * case-sensitive: `/Vault` and `/vault` are different servers.
 */
export function addressOf(url: string): string | undefined {
  if (!addressPattern.test(url)) return undefined;
  const [, start = '', path = ''] = /^(https?:\/\/[^/]*)(.*?)\/?$/.exec(url) ?? [];
  const origin = originOf(start);
  return origin === undefined ? undefined : `${origin}${path}`;
}
