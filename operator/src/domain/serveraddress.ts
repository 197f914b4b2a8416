/** Scheme, host and port in canonical form; `undefined` = not an http or https URL, or it has other parts. */
export function originOf(url: string): string | undefined {
  const parsed = /^https?:\/\/[A-Za-z0-9.:[\]-]+$/.test(url) ? URL.parse(url) : null;
  return parsed === null || parsed.hostname === '' ? undefined : parsed.origin;
}

/** No segment begins with a dot, so that none climbs out. */
const pathPattern = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/;

/**
 * The same with a path, such as that of a gateway in front of several servers; a slash at the end is ignored. Paths are
 * case-sensitive: `/Vault` and `/vault` are different servers.
 */
export function addressOf(url: string): string | undefined {
  const [, start = '', rest = ''] = /^(https?:\/\/[^/]*)(.*)$/.exec(url) ?? [];
  const origin = originOf(start);
  const path = rest.replace(/\/$/, '');
  return origin === undefined || !pathPattern.test(path) ? undefined : `${origin}${path}`;
}
