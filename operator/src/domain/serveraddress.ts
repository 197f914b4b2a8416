/** Scheme, host and port in canonical form; `undefined` = not an http or https URL, or it has other parts. */
export function originOf(url: string): string | undefined {
  const parsed = /^https?:\/\/[A-Za-z0-9.:[\]-]+$/.test(url) ? URL.parse(url) : null;
  return parsed === null || parsed.hostname === '' ? undefined : parsed.origin;
}

/** No segment begins with a dot, so that none climbs out. */
const pathPattern = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/;

/**
 * The same with a path, such as that of a gateway that has several servers behind it; a slash at its end counts for nothing.
 * Capitals count: `/Vault` is another server than `/vault`.
 */
export function addressOf(url: string): string | undefined {
  const [, start = '', rest = ''] = /^(https?:\/\/[^/]*)(.*)$/.exec(url) ?? [];
  const origin = originOf(start);
  const path = rest.replace(/\/$/, '');
  return origin === undefined || !pathPattern.test(path) ? undefined : `${origin}${path}`;
}
