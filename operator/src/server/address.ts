/** Where to listen: a host and port, or a Unix socket. */
export type ListenAddress =
  /** `host` absent = every interface; port 0 = any free one. */
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** How an address is written, for messages and the reference. */
export const addressForm = '`:9090`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`';

const tcpPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.-]*)):([0-9]{1,5})$/;

/** Reads an address as {@link addressForm} says; `undefined` when it is none. */
export function parseAddress(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) return text.startsWith('unix:/') ? { kind: 'unix', path: text.slice('unix:'.length) } : undefined;
  const match = tcpPattern.exec(text);
  if (match === null) return undefined;
  const [, ipv6, name, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  const host = ipv6 ?? name ?? '';
  return { kind: 'tcp', host: host === '' ? undefined : host, port };
}

/** The address as it is written in a variable. */
export function formatAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host ?? '';
  return `${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`;
}

/**
 * Whether only processes of this machine can reach the address. A name other than `localhost` is not: what it resolves
 * to may change.
 */
export function isLocalAddress(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  const host = address.host?.toLowerCase();
  return host === 'localhost' || host === '::1' || (host !== undefined && /^127(?:\.[0-9]{1,3}){3}$/.test(host));
}
