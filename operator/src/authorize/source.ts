import ipaddr from 'ipaddr.js';

/** Networks that a key may be used from. */
export type Networks = readonly (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[];

/** Reads networks in CIDR notation. What is none stands for no address: it narrows and never widens. */
export function parseNetworks(cidrs: readonly string[]): Networks {
  return cidrs.flatMap((cidr) => {
    const at = cidr.indexOf('/');
    const address = parseAddress(cidr.slice(0, at));
    const bits = /^[0-9]{1,3}$/.test(cidr.slice(at + 1)) ? Number(cidr.slice(at + 1)) : undefined;
    if (at === -1 || address === undefined || bits === undefined) return [];
    return bits <= (address.kind() === 'ipv4' ? 32 : 128) ? [[address, bits] as const] : [];
  });
}

/** Whether the address is in one of the networks; an unknown one (`undefined`), or what is no address, is in none. */
export function isWithin(networks: Networks, sourceIp: string | undefined): boolean {
  const address = sourceIp === undefined ? undefined : parseSource(sourceIp);
  if (address === undefined) return false;
  return networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}

/** Whether it is an address, as proxies write it. */
export function isAddress(sourceIp: string): boolean {
  return parseSource(sourceIp) !== undefined;
}

/** The network that stands for an address: /24 of IPv4, and of IPv6 `ipv6Bits` (48 without). `undefined` = no address. */
export function networkOf(sourceIp: string | undefined, ipv6Bits = 48): string | undefined {
  const address = sourceIp === undefined ? undefined : parseSource(sourceIp);
  if (address === undefined) return undefined;
  if (address.kind() === 'ipv4') return `${ipaddr.IPv4.networkAddressFromCIDR(`${address.toString()}/24`).toString()}/24`;
  const bits = String(ipv6Bits);
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${bits}`).toString()}/${bits}`;
}

const ipv4WithPort = /^([0-9.]+):[0-9]{1,5}$/;
/** In brackets, with or without a port; or with a zone; see RFC 4007 section 11 and RFC 5952 section 6. */
const ipv6WithMore = /^(?:\[([0-9A-Fa-f:.]+)(?:%[A-Za-z0-9._~-]+)?\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)%[A-Za-z0-9._~-]+)$/;

/** The address of a client as proxies write it: `203.0.113.7:4711`, `[2001:db8::1]:443`, `fe80::1%eth0`. Port and zone are ignored. */
function parseSource(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const [, ipv4] = ipv4WithPort.exec(text) ?? [];
  if (ipv4 !== undefined) return parseIpv4(ipv4);
  const [, bracketed, zoned] = ipv6WithMore.exec(text) ?? [];
  const ipv6 = bracketed ?? zoned;
  return ipv6 === undefined ? parseAddress(text) : parseIpv6(ipv6);
}

function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return parseIpv4(text) ?? parseIpv6(text);
}

/** Strict: the library also takes `10.1`, `0x0a000001` and octal `010.0.0.1`, which other programs read differently. */
function parseIpv4(text: string): ipaddr.IPv4 | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined;
}

/**
 * Strict: the library also reads `::10.0.0.1`, which RFC 4291 2.5.5.1 retired, as mapped. An IPv4-mapped IPv6 address is the IPv4
 * address.
 */
function parseIpv6(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (!/^[0-9A-Fa-f:.]+$/.test(text) || /^::[0-9]+\./.test(text) || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}
