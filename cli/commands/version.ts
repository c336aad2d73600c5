import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {buildCommit} from '../build-commit.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {ownCheckout} from '../own-checkout.ts';
import type {Terminal} from '../terminal.ts';
import {version} from '../version.ts';

/**
 * `branchtab version`: which program this is. The checksum is the single file's own, as `sha256sum` gives it and the
 * release lists it; the program from its source has none.
 */
export async function showVersion(flags: {json?: boolean}, terminal: Terminal): Promise<ExitCode> {
  const checkout = ownCheckout();
  const facts = {
    version,
    commit: await buildCommit(checkout),
    checksum: checkout === null ? `sha256:${await sha256(process.execPath)}` : null,
    bun: Bun.version,
    platform: `${process.platform}-${process.arch}`,
  };
  terminal.out(
    flags.json
      ? `${JSON.stringify(facts)}\n`
      : `branchtab ${facts.version}
commit    ${facts.commit ?? 'unknown'}
checksum  ${facts.checksum ?? 'none: it runs from its source'}
bun       ${facts.bun}, ${facts.platform}
`,
  );
  return exitCodes.ok;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
