import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { buildRoutes, findRoute } from '../../../operator/src/authorize/match.ts';
import { normaliseScheme, targetOf } from '../../../operator/src/authorize/origin.ts';
import { parseTarget } from '../../../operator/src/authorize/target.ts';
import type { Target, TargetFault } from '../../../operator/src/authorize/target.ts';
import { endpointAt } from '../../builders/endpoints.ts';

/** What an attacker wants to reach (`users`, admin) and what the key may reach (`item`, by a parameter that takes nearly anything). */
const routes = buildRoutes([
  endpointAt('GET', '/v1/users', 'users'),
  endpointAt('GET', '/v1/users/@me', 'me'),
  endpointAt('GET', '/v1/users/{id}', 'user'),
  endpointAt('DELETE', '/v1/users/{id}', 'delete-user'),
  endpointAt('GET', '/v1/items/{id}', 'item'),
  endpointAt('GET', '/v1/{kind}/{id}', 'any'),
  endpointAt('GET', '/files/{name}', 'file'),
  endpointAt('GET', '/', 'root'),
]);
const names = ['users', 'me', 'user', 'delete-user', 'item', 'any', 'file', 'root'];

/** The endpoint that a request is taken for, or why it is taken for none. */
function verdict(target: string | Target, method = 'GET'): string {
  const parsed = typeof target === 'string' ? parseTarget(target) : target;
  if (parsed.kind === 'refused') return `refused: ${parsed.fault}`;
  const route = findRoute(routes, method, parsed);
  return route === undefined ? 'no endpoint' : (names[route.number] ?? '');
}

const path = (segments: readonly string[]): { segments: readonly string[]; escaped: boolean } => ({
  segments,
  escaped: segments.join('').includes('%'),
});
const refused = (fault: TargetFault): string => `refused: ${fault}`;

describe('a path', () => {
  test.each<[target: string, expected: string, why: string]>([
    ['/v1/users', 'users', 'the plain path'],
    ['/', 'root', 'the root is a path of no segments'],
    ['/v1/items/5?x=/../users', 'item', 'the query is no path'],
    ['/v1/items/5?a?b', 'item', 'the query begins at the first question mark'],
    ['/v1/items/5?', 'item', 'an empty query is a query'],
    ['/v1/items/%41', 'item', 'an encoded letter is the letter'],
    ['/v1/%75sers', 'users', 'a literal is found behind encoded letters, so that its own rule applies'],
    ['/v1/%7Eitems/5', 'any', '~ is unreserved: decoded, and no other name'],
    ['/v1/users/@me', 'me', 'a literal beats a parameter'],
    ['/v1/items/a+b', 'item', 'a plus is a plus'],
    ['/v1/items/%20', 'item', 'an encoded space stays encoded'],
    ['/v1/items/caf%C3%A9', 'item', 'encoded UTF-8 is text'],
    ['/v1/items/...', 'item', 'three dots are a name'],
    ['/v1/items/.hidden', 'item', 'a dot before a name is no dot segment'],
    ['/v1/items/a..b', 'item', 'dots within a name are no dot segment'],

    ['', refused('not a path'), 'nothing'],
    ['*', refused('not a path'), 'asterisk form'],
    ['v1/users', refused('not a path'), 'no leading slash'],
    ['http://api.example.com/v1/users', refused('not a path'), 'absolute form names a host of its own'],
    ['api.example.com:443', refused('not a path'), 'authority form'],
    ['?x=1', refused('not a path'), 'a query alone'],
    ['\\v1\\users', refused('not a path'), 'a backslash is no slash'],

    ['//v1/users', refused('empty segment'), 'two slashes: some take v1 for a host, some merge them'],
    ['/v1//users', refused('empty segment'), 'some merge slashes'],
    ['/v1/users/', refused('empty segment'), 'some strip the last slash'],
    ['/v1/items//', refused('empty segment'), 'no value for the parameter'],
    ['//', refused('empty segment'), 'no root'],
    ['/v1/items/', refused('empty segment'), 'a parameter takes one segment that is not empty'],

    ['/v1/items/../users', refused('dot segment'), 'the way up'],
    ['/v1/items/..', refused('dot segment'), 'the way up at the end'],
    ['/v1/./users', refused('dot segment'), 'a segment that disappears'],
    ['/../v1/users', refused('dot segment'), 'above the root'],
    ['/v1/items/%2e%2e/users', refused('dot segment'), 'encoded dots, which URL parsers resolve'],
    ['/v1/items/%2E%2E/users', refused('dot segment'), 'encoded dots in upper case'],
    ['/v1/items/.%2e/users', refused('dot segment'), 'half encoded'],
    ['/v1/items/%2e./users', refused('dot segment'), 'the other half'],
    ['/v1/items/%2e', refused('dot segment'), 'one encoded dot'],

    ['/v1/items/..%2fusers', refused('encoded delimiter'), 'an encoded slash that somebody decodes later'],
    ['/v1/items/..%2Fusers', refused('encoded delimiter'), 'in upper case'],
    ['/v1%2fusers', refused('encoded delimiter'), 'a slash is a slash to some'],
    ['/v1/items/..%5cusers', refused('encoded delimiter'), 'an encoded backslash'],
    ['/v1/items/..%5Cusers', refused('encoded delimiter'), 'in upper case'],
    ['/v1/items/5%3fx', refused('encoded delimiter'), 'an encoded question mark cuts the path for whoever decodes it'],
    ['/v1/items/5%3Fx', refused('encoded delimiter'), 'in upper case'],
    ['/v1/items/5%23x', refused('encoded delimiter'), 'an encoded fragment'],
    ['/v1/items/5%3bx', refused('encoded delimiter'), 'an encoded path parameter'],
    ['/v1/items/5%3Bx', refused('encoded delimiter'), 'in upper case'],
    ['/v1/items/%252e%252e', refused('encoded delimiter'), 'encoded twice'],
    ['/v1/items/%25', refused('encoded delimiter'), 'an encoded percent begins the next escape'],
    ['/v1/items/%2541', refused('encoded delimiter'), 'a letter encoded twice'],

    ['/v1/items/;/../users', refused('semicolon'), 'a path parameter that some cut off'],
    ['/v1/users;jsessionid=1', refused('semicolon'), 'a path parameter at the end'],
    ['/v1/..;/users', refused('semicolon'), 'the way up for servers that cut path parameters first'],
    ['/v1\\users', refused('backslash'), 'a slash to some'],
    ['/v1/items/..\\users', refused('backslash'), 'the way up with it'],

    ['/v1/users#x', refused('fragment'), 'a fragment is never sent'],
    ['/v1/items/5?x#/v1/users', refused('fragment'), 'not in the query either'],
    ['/v1/items/5#?x', refused('fragment'), 'nor before it'],

    ['/v1/items/%', refused('incomplete escape'), 'a percent alone'],
    ['/v1/items/%4', refused('incomplete escape'), 'one digit'],
    ['/v1/items/%4/1', refused('incomplete escape'), 'an escape over a slash'],
    ['/v1/items/%zz', refused('incomplete escape'), 'no digits'],
    ['/v1/items/%u002e', refused('incomplete escape'), 'the escape of an old script language'],
    ['/v1/items/% 41', refused('character'), 'a space, which number parsers skip'],

    ['/v1/items/%00', refused('encoded control'), 'the end of a text to some'],
    ['/v1/items/5%00.json', refused('encoded control'), 'an extension behind it'],
    ['/v1/items/%0d%0aX-Y:1', refused('encoded control'), 'a line break'],
    ['/v1/items/%0A', refused('encoded control'), 'in upper case'],
    ['/v1/items/%7f', refused('encoded control'), 'DEL'],
    ['/v1/items/%1F', refused('encoded control'), 'the last control'],
    ['/v1/items/%C2%85', refused('encoded control'), 'a C1 control: next line'],

    ['/v1/items/%c0%ae%c0%ae', refused('not UTF-8'), 'overlong dots'],
    ['/v1/items/%c0%af', refused('not UTF-8'), 'an overlong slash'],
    ['/v1/items/%e0%80%af', refused('not UTF-8'), 'a longer one'],
    ['/v1/items/%ed%a0%80', refused('not UTF-8'), 'a surrogate'],
    ['/v1/items/%f4%90%80%80', refused('not UTF-8'), 'beyond Unicode'],
    ['/v1/items/%ff', refused('not UTF-8'), 'no byte of UTF-8'],
    ['/v1/items/%c3', refused('not UTF-8'), 'a cut sequence'],
    ['/v1/items/%e9', refused('not UTF-8'), 'Latin-1'],

    ['/v1/items/a b', refused('character'), 'a space'],
    ['/v1/items/a\tb', refused('character'), 'a tab'],
    ['/v1/items/5\r\nHost: x', refused('character'), 'a second header'],
    ['/v1/items/5\u0000', refused('character'), 'a zero'],
    ['/v1/items/caf\u00e9', refused('character'), 'raw text beyond ASCII'],
    ['/v1/items/\uff0e\uff0e/users', refused('character'), 'full-width dots'],
    ['/v1/items\u2215users', refused('character'), 'a slash that is none'],
    ['/v1/items/"x"', refused('character'), 'quotes'],
    ['/v1/items/<x>', refused('character'), 'angle brackets'],
    ['/v1/items/{id}', refused('character'), 'the template itself'],
    ['/v1/items/[1]', refused('character'), 'brackets'],
    ['/v1/items/a|b', refused('character'), 'a bar'],
    ['/v1/items/a^b', refused('character'), 'a caret'],
    ['/v1/items/`x`', refused('character'), 'a backtick'],

    ['/V1/users', 'no endpoint', 'no case folding'],
    ['/v1/USERS', 'no endpoint', 'no case folding of a literal either'],
    ['/v1/items/5/6', 'no endpoint', 'a parameter takes one segment'],
    ['/v1/items', 'no endpoint', 'a template is a whole path'],
    ['/v1', 'no endpoint', 'a prefix is no path'],
    ['/v1/users/%40me', 'no endpoint', 'who decodes it takes it for another endpoint'],
    ['/files/%D9%A0', 'file', 'other digits are other text'],
    ['/v1/users/@ME', 'no endpoint', 'who ignores case takes it for another endpoint'],
    ['/v1/users/%40Me', 'no endpoint', 'the same behind an escape'],
    ['/v1/Items/5', 'no endpoint', 'the same where a parameter takes what is a literal in another case'],
    ['/v1/item%C5%BF/5', 'no endpoint', 'a long s is an s in upper case'],
    ['/v1/users/Meg', 'user', 'a name in upper case is a name'],
  ])('%j is taken as: %s (%s)', (target, expected) => {
    expect(verdict(target)).toBe(expected);
  });

  test('an escape that would lead elsewhere when decoded is refused also where backtracking would let it in', () => {
    const tree = buildRoutes([endpointAt('GET', '/a/@me', 'me'), endpointAt('GET', '/{x}/{y}', 'any')]);
    expect(findRoute(tree, 'GET', path(['a', '%40me']))).toBeUndefined();
    expect(findRoute(tree, 'GET', path(['b', '%40me']))?.number).toBe(1);
  });

  test('another case is refused only where it leads elsewhere', () => {
    const tree = buildRoutes([
      endpointAt('GET', '/a/{id}', 'any'),
      endpointAt('POST', '/a/export', 'export'),
      endpointAt('GET', '/b/{id}', 'lower'),
      endpointAt('GET', '/b/Export', 'first'),
      endpointAt('GET', '/b/export', 'second'),
    ]);
    expect(findRoute(tree, 'GET', path(['a', 'EXPORT']))?.number).toBe(0);
    expect(findRoute(tree, 'GET', path(['b', 'Export']))?.number).toBe(3);
    expect(findRoute(tree, 'GET', path(['b', 'export']))?.number).toBe(4);
    expect(findRoute(tree, 'GET', path(['b', 'EXPORT']))).toBeUndefined();
  });

  test.each([
    ['before', ['/Foo/a', '/foo/b', '/{x}/b']],
    ['after', ['/foo/b', '/Foo/a', '/{x}/b']],
  ])('another case is refused also where the catalog has a third spelling of it %s', (_where, templates) => {
    const tree = buildRoutes(templates.map((template) => endpointAt('GET', template, template)));
    const found = (...segments: string[]): string | undefined =>
      templates[findRoute(tree, 'GET', path(segments))?.number ?? templates.length];
    expect([found('FOO', 'b'), found('Foo', 'b')]).toEqual([undefined, undefined]);
    expect([found('foo', 'b'), found('Foo', 'a'), found('bar', 'b')]).toEqual(['/foo/b', '/Foo/a', '/{x}/b']);
  });

  test.each<[method: string, target: string, expected: string]>([
    ['HEAD', '/v1/users', 'users'],
    ['DELETE', '/v1/users/5', 'delete-user'],
    ['DELETE', '/v1/users/@me', 'delete-user'],
    ['POST', '/v1/users', 'no endpoint'],
    ['OPTIONS', '/v1/users', 'no endpoint'],
    ['get', '/v1/users', 'no endpoint'],
    ['GET ', '/v1/users', 'no endpoint'],
    ['', '/v1/users', 'no endpoint'],
    ['CONNECT', '/v1/users', 'no endpoint'],
    ['TRACE', '/v1/users', 'no endpoint'],
    ['__proto__', '/v1/users', 'no endpoint'],
    ['constructor', '/v1/users', 'no endpoint'],
  ])('%s %s is taken as: %s', (method, target, expected) => {
    expect(verdict(target, method)).toBe(expected);
  });

  test('CONNECT and TRACE are never routed, also where a catalog lists them', () => {
    const tree = buildRoutes([endpointAt('CONNECT', '/x', 'c'), endpointAt('TRACE', '/x', 't')]);
    expect([findRoute(tree, 'CONNECT', path(['x'])), findRoute(tree, 'TRACE', path(['x']))]).toEqual([undefined, undefined]);
  });

  test('HEAD has its own entry where one is listed', () => {
    const tree = buildRoutes([endpointAt('GET', '/x', 'get'), endpointAt('HEAD', '/x', 'head')]);
    expect(findRoute(tree, 'HEAD', path(['x']))?.number).toBe(1);
  });

  test('a literal that leads nowhere gives way to the parameter beside it', () => {
    const tree = buildRoutes([endpointAt('GET', '/a/b/c', 'literal'), endpointAt('GET', '/{x}/b/{y}', 'parameter')], 'y');
    expect(findRoute(tree, 'GET', path(['a', 'b', 'c']))?.number).toBe(0);
    expect(findRoute(tree, 'GET', path(['a', 'b', 'd']))).toMatchObject({ number: 1, applicationAt: [2] });
  });
});

describe('a target in absolute form', () => {
  const origin = { host: 'api.example.com', scheme: 'https' };
  const other = refused('another origin');

  test.each<[target: string, expected: string, why: string]>([
    ['https://api.example.com/v1/users', 'users', 'the path behind the host that the request names'],
    ['https://api.example.com/v1/items/5?x=/../users', 'item', 'its query is no path'],
    ['HTTPS://API.Example.COM/v1/users', 'users', 'scheme and host have no case'],
    ['https://api.example.com./v1/users', 'users', 'the final dot of a full name'],
    ['https://api.example.com:443/v1/users', 'users', 'the port of https'],
    ['https://api.example.com:00443/v1/users', 'users', 'the same number'],
    ['wss://api.example.com/v1/users', 'users', 'a WebSocket begins over https'],
    ['https://api.example.com', 'root', 'no path is the root'],
    ['https://api.example.com?x=1', 'root', 'a query without a path'],
    ['https://api.example.com/', 'root', 'the root'],

    ['https://api.example.com:80/v1/users', other, 'the port of http'],
    ['https://api.example.com:8443/v1/users', other, 'another port'],
    ['https://api.example.com:/v1/users', other, 'a port of no digits'],
    ['https://api.example.com:443:443/v1/users', other, 'two ports'],
    ['https://api.example.com:４４３/v1/users', other, 'digits of another script'],
    ['https://evil.example.com/v1/users', other, 'another host'],
    ['https://example.com/v1/users', other, 'a part of the host'],
    ['https://api.example.com.evil.test/v1/users', other, 'the host as a beginning'],
    ['https://api.example.com@evil.test/v1/users', other, 'the host as a user'],
    ['https://user@api.example.com/v1/users', other, 'a user'],
    ['https://user:pass@api.example.com/v1/users', other, 'a user with a password'],
    ['https://@api.example.com/v1/users', other, 'an empty user'],
    ['https:///v1/users', other, 'an empty host: some take v1 for it'],
    ['https://', other, 'nothing'],
    ['https://:443/v1/users', other, 'a port alone'],
    ['https://[::1]/v1/users', other, 'an IPv6 host'],
    ['https://[api.example.com]/v1/users', other, 'brackets'],
    ['https://api%2eexample.com/v1/users', other, 'an encoded host'],
    ['https://api.example.com%2f@evil.test/v1/users', other, 'an encoded slash in it'],
    ['https://api.example.com%00/v1/users', other, 'a zero behind it'],
    ['https://api.example.com /v1/users', other, 'a space behind it'],
    ['https:// api.example.com/v1/users', other, 'a space before it'],
    ['https://api.example.com\t/v1/users', other, 'a tab'],
    ['https://api.example.com\r\n/v1/users', other, 'a line break'],
    ['https://api.example.com,evil.test/v1/users', other, 'two hosts'],
    ['https://api.example.com;/v1/users', other, 'a semicolon'],
    ['https://\u212api.example.com/v1/users', other, 'a letter that folds into ASCII'],
    ['http://api.example.com/v1/users', other, 'another scheme'],
    ['http://api.example.com:443/v1/users', other, 'another scheme on the same port'],
    ['ws://api.example.com/v1/users', other, 'another scheme in disguise'],

    ['https://api.example.com\\@evil.test/v1/users', refused('backslash'), 'a backslash ends the host for some'],
    ['https://api.example.com\\v1\\users', refused('backslash'), 'backslashes for slashes'],
    ['https:\\\\api.example.com/v1/users', refused('not a path'), 'backslashes before the host'],
    ['https://api.example.com#x', refused('fragment'), 'a fragment without a path'],
    ['https://api.example.com#@evil.test/v1/users', refused('fragment'), 'a fragment that hides a host'],
    ['https://api.example.com/v1/users#x', refused('fragment'), 'a fragment'],
    ['https://api.example.com?x#y', refused('fragment'), 'a fragment in the query'],
    ['https://api.example.com//v1/users', refused('empty segment'), 'two slashes'],
    ['https://api.example.com//evil.test/v1/users', refused('empty segment'), 'a host in the place of the path'],
    ['https://api.example.com/v1/items/../users', refused('dot segment'), 'the way up'],
    ['https://api.example.com/v1/items/%2e%2e/users', refused('dot segment'), 'the way up, encoded'],
    ['https://api.example.com/v1/a b', refused('character'), 'a space in the path'],
    ['https://api.example.com/https://api.example.com/v1/users', refused('empty segment'), 'a target in a target'],
    ['//api.example.com/v1/users', refused('empty segment'), 'a host without a scheme'],
    ['https:/api.example.com/v1/users', refused('not a path'), 'one slash'],
    ['https:api.example.com/v1/users', refused('not a path'), 'none'],
    ['https//api.example.com/v1/users', refused('not a path'), 'no colon'],
    [' https://api.example.com/v1/users', refused('not a path'), 'a space before it'],
    ['ftp://api.example.com/v1/users', refused('not a path'), 'a scheme that is not of HTTP'],
    ['file:///v1/users', refused('not a path'), 'a file'],
    ['https+x://api.example.com/v1/users', refused('not a path'), 'a longer scheme'],
    ['constructor://api.example.com/v1/users', refused('not a path'), 'a name that every object has'],
    ['://api.example.com/v1/users', refused('not a path'), 'no scheme'],
  ])('the absolute form %j is taken as: %s (%s)', (path, expected) => {
    expect(verdict(targetOf({ path, ...origin }))).toBe(expected);
  });

  test.each<[host: string, scheme: string | undefined, path: string, expected: string]>([
    ['API.example.com.:443', 'https', 'https://api.example.com/v1/users', 'users'],
    ['api.example.com:8443', 'https', 'https://api.example.com:8443/v1/users', 'users'],
    ['api.example.com:8443', 'https', 'https://api.example.com/v1/users', other],
    ['api.example.com:443', 'http', 'http://api.example.com/v1/users', other],
    ['api.example.com:80', 'http', 'http://api.example.com/v1/users', 'users'],
    ['api.example.com', undefined, 'http://api.example.com:80/v1/users', 'users'],
    ['api.example.com', undefined, 'https://api.example.com/v1/users', 'users'],
    ['api.example.com', 'http', 'ws://api.example.com/v1/users', 'users'],
    ['api.example.com', 'ftp', 'https://api.example.com/v1/users', other],
    ['', 'https', 'https:///v1/users', other],
    ['[::1]', 'https', 'https://[::1]/v1/users', other],
    ['user@api.example.com', 'https', 'https://user@api.example.com/v1/users', other],
  ])('for the host %j over %s: %j is taken as %s', (host, scheme, path, expected) => {
    expect(verdict(targetOf({ host, scheme, path }))).toBe(expected);
  });

  test('means what its path means, and a path means what it did', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'/v1users@me.%2eF?#;\\: x') }), (text) => {
        const path = `/${text}`;
        expect(targetOf({ path, ...origin })).toEqual(parseTarget(path));
        expect(targetOf({ path: `https://api.example.com${path}`, ...origin })).toEqual(parseTarget(path));
      }),
    );
  });

  test('reads a text of any length in no time', () => {
    for (const text of ['https://' + 'a.'.repeat(100_000), 'a'.repeat(100_000), 'https://' + ':'.repeat(100_000)])
      expect(targetOf({ path: text, ...origin }).kind).toBe('refused');
  });
});

describe('a scheme', () => {
  test.each([
    ['https', 'https'],
    ['HTTPS', 'https'],
    ['wss', 'https'],
    ['WSS', 'https'],
    ['ws', 'http'],
    ['Ws', 'http'],
    ['http', 'http'],
    ['w\u017f\u017f', 'w\u017f\u017f'],
    ['wsss', 'wsss'],
    ['__proto__', '__proto__'],
    ['', ''],
  ])('%j counts as %j', (text, expected) => {
    expect(normaliseScheme(text)).toBe(expected);
  });
});

describe('canonical segments', () => {
  const bytes = fc.integer({ min: 0, max: 255 }).chain((byte) => {
    const hex = byte.toString(16).padStart(2, '0');
    return fc.constantFrom(`%${hex}`, `%${hex.toUpperCase()}`, String.fromCharCode(byte & 0x7f));
  });
  const targets = fc.array(fc.array(bytes, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 });
  const write = (parts: readonly (readonly string[])[]): string => parts.map((part) => `/${part.join('')}`).join('');
  /** What the bytes of each segment are, by the plainest possible reading. */
  const read = (target: string): string =>
    JSON.stringify(
      (target.split('?')[0] ?? '')
        .slice(1)
        .split('/')
        .map((segment) =>
          segment.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
        ),
    );

  test('never say the same of two targets that mean different things', () => {
    const meanings = new Map<string, string>();
    fc.assert(
      fc.property(targets, (parts) => {
        const target = write(parts);
        const parsed = parseTarget(target);
        if (parsed.kind === 'refused') return;
        const canonical = JSON.stringify(parsed.segments);
        const meaning = read(target);
        expect(meanings.get(canonical) ?? meaning).toBe(meaning);
        meanings.set(canonical, meaning);
      }),
      { numRuns: 5_000 },
    );
    expect(meanings.size).toBeGreaterThan(50);
  });

  test('are their own canonical form', () => {
    fc.assert(
      fc.property(targets, (parts) => {
        const parsed = parseTarget(write(parts));
        if (parsed.kind === 'path') expect(parseTarget(`/${parsed.segments.join('/')}`)).toEqual(parsed);
      }),
      { numRuns: 2_000 },
    );
  });

  test('never hold what would cut or climb, encoded or not', () => {
    fc.assert(
      fc.property(targets, (parts) => {
        const parsed = parseTarget(write(parts));
        if (parsed.kind === 'refused') return;
        for (const segment of parsed.segments) {
          expect(decodeURIComponent(segment)).not.toMatch(/[/\\;?#%]|^\.{0,2}$|[\u0000-\u001f\u007f-\u009f]/);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
