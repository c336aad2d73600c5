import test from 'ava';
import fc from 'fast-check';
import {refuseForeign, refuseMisdirected} from '../../api/host-guard.ts';
import {fuzz} from '../helpers/fuzz.ts';

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    // A refusal; that it is the right error is tested elsewhere.
    return false;
  }
}

const piece = fc.oneof(
  fc.constantFrom(
    'localhost',
    'evil',
    '.example',
    '.',
    '..',
    ':80',
    ':99999',
    ':',
    '[::1]',
    '[',
    ']',
    '127.0.0.1',
    '@',
    '%00',
    '%2e',
    '\t',
    ' ',
    ',',
    '/',
    '#',
    '?',
    '\\',
    'hoody-exec',
    'hoody-',
    '-cron-1',
    'board.example.org',
    '*.',
    'ｌocalhost',
    '０',
    '0x7f',
    '1',
  ),
  fc.stringMatching(/^[a-z0-9.:@-]{0,6}$/),
);
const host = fc.array(piece, {minLength: 1, maxLength: 4}).map((parts) => parts.join(''));

/** The second opinion: what a browser would make of it. Null where it would not send such a thing. */
function nameInBrowser(authority: string): string | null {
  const text = `http://${authority}/`;
  return URL.canParse(text) ? new URL(text).hostname : null;
}

test('no name of somebody else’s is taken for ours', async (t) => {
  await fuzz(
    t,
    fc.property(host, (written) => {
      let headers: Headers;
      try {
        headers = new Headers({host: written});
      } catch {
        // No such header can be sent.
        return true;
      }
      if (
        !passes(() => refuseMisdirected(headers.get('host'), ['board.example.org', '*.preview.example.org']))
      )
        return true;
      const name = nameInBrowser(headers.get('host') ?? '');
      return (
        name === null ||
        /^\[[0-9a-f:.]+\]$|^\d+\.\d+\.\d+\.\d+$|^(?:.*\.)?localhost\.?$|^hoody-[a-z0-9-]+\.?$|^board\.example\.org\.?$|^.+\.preview\.example\.org\.?$/.test(
          name,
        )
      );
    }),
    {runs: 5000},
  );
});

test('no origin but our own is taken for ours', async (t) => {
  const scheme = fc.constantFrom(
    'http://',
    'https://',
    'null',
    'file://',
    'HTTP://',
    '//',
    '',
    'chrome-extension://',
    'http:',
    'data:',
  );
  await fuzz(
    t,
    fc.property(
      scheme,
      host,
      fc.constantFrom(
        'localhost:7070',
        '127.0.0.1:7070',
        '[::1]:7070',
        'board.example.org',
        'board.example.org:443',
      ),
      fc.constantFrom('', '/', '/x', '?x', '#x', ' '),
      (by, authority, own, tail) => {
        const origin = `${by}${authority}${tail}`;
        let headers: Headers;
        try {
          headers = new Headers({host: own, origin});
        } catch {
          // No such header can be sent.
          return true;
        }
        const sent = headers.get('origin') ?? '';
        if (!passes(() => refuseForeign(headers))) return true;
        const withoutPort = own.replace(/:443$/, '');
        return URL.canParse(sent) && [own, withoutPort].includes(new URL(sent).host);
      },
    ),
    {runs: 5000},
  );
});
