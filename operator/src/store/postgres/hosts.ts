const pattern = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/s;

/**
 * One URL per host of a libpq-style URL with several hosts, in their order. `pg` itself knows one host only.
 * `undefined` when the text is no such URL.
 *
 * @example splitHosts('postgres://u@a:1,b:2/db') // ['postgres://u@a:1/db', 'postgres://u@b:2/db']
 */
export function splitHosts(url: string): readonly string[] | undefined {
  const match = pattern.exec(url);
  if (match === null) return undefined;
  const [, before = '', hosts = '', after = ''] = match;
  const urls = hosts.split(',').map((host) => `${before}${host}${after}`);
  // A Unix socket has no host, but may have a user: `postgres://user@/db?host=/folder`.
  const parsable = hosts === '' ? [`${before}host${after}`] : urls;
  return parsable.every((one) => URL.canParse(one)) && hosts.split(',').every((host) => host !== '' || hosts === '')
    ? urls
    : undefined;
}
