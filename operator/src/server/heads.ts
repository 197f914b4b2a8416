import { IncomingMessage } from 'node:http';
import type { ServerOptions } from 'node:http';

import { callerHeader } from './callers.ts';
import { badRequest, expectationFailed } from './problems.ts';
import type { Problem } from './problems.ts';

/** How long the head of a request may be; the parser refuses the rest. */
export const headLimits = { bytes: 8 * 1024, lines: 100 } as const;

/** Decides on a request at its head. False = the parser must stop: before its body, and before what follows. */
export type Judge = (request: IncomingMessage) => boolean;

/**
 * The options that make a server call `judge` for each request except CONNECT, which always ends the parser. For a request that
 * must not go on, the server emits `upgrade` (or `connect`) instead of `request`, and leaves the socket to the listener.
 *
 * Otherwise the parser of node:http processes everything from one read (64 KiB: 2,000 requests, or a body of 10,000 chunks), and
 * cannot be stopped. It stops for an accepted upgrade, and calls `shouldUpgradeCallback` to accept one if `upgrade` is true: so
 * `upgrade` is true for a request until it is judged.
 */
export function judgedBy(
  judge: Judge,
): Required<Pick<ServerOptions<typeof IncomingMessage>, 'IncomingMessage' | 'shouldUpgradeCallback'>> {
  const judged = new WeakMap<IncomingMessage, boolean>();
  class JudgedRequest extends IncomingMessage {
    get upgrade(): boolean {
      return !(judged.get(this) ?? false);
    }

    // The parser sets this to what the headers request: we serve no other protocol.
    set upgrade(_wanted: unknown) {}
  }
  return {
    IncomingMessage: JudgedRequest,
    shouldUpgradeCallback: (request) => {
      const goesOn = judge(request);
      judged.set(request, goesOn);
      return !goesOn;
    },
  };
}

/**
 * Header fields that may occur only once: if there are two, we and a gateway in front of us could read different ones. Two `Host`
 * are a 400 by RFC 9112 section 3.2. The parser itself refuses two `Content-Length`, and `Content-Length` together with
 * `Transfer-Encoding`.
 */
const singular: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-type',
  'expect',
  'host',
  callerHeader,
  'transfer-encoding',
]);

/** `uri-host [ ":" port ]` of RFC 9110 section 7.2, or nothing. */
const hostPattern = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?$/;

/** What is wrong with a head, whatever its sender and request; `undefined` = nothing. */
export function faultOf(request: IncomingMessage): Problem | undefined {
  const seen = new Set<string>();
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at]?.toLowerCase() ?? '';
    if (!singular.has(name)) continue;
    if (seen.has(name)) return badRequest(`The header ${name} comes more than once.`);
    seen.add(name);
  }
  const { host, expect } = request.headers;
  if (host === undefined && request.httpVersion === '1.1') return badRequest('The header host is missing.');
  if (host !== undefined && !hostPattern.test(host)) return badRequest('The header host names no host.');
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return expectationFailed;
  return undefined;
}

/** Whether the body comes in chunks. A sender can use any number of them, and each costs the parser time. */
export function isChunked(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined;
}
