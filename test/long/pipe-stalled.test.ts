import {readFileSync, writeFileSync} from 'node:fs';
import test from 'ava';
import {RawClient, untilStatus} from '../helpers/pipe-world.ts';
import {startRuntime} from '../helpers/runtime-process.ts';

const isLong = (process.env.BRANCHTAB_TEST_LONG ?? '') !== '';
const offeredBytes = 2 * 1024 ** 3;
const allowedGrowthBytes = 32 * 1024 ** 2;

function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

(isLong ? test : test.skip)(
  'S82: 2 GB are offered while one of two readers stalls: the sender stops, and memory stays',
  async (t) => {
    t.timeout(600_000);
    const {pid, url} = await startRuntime(t, ['--pipe-listen', '127.0.0.1:0']);
    const base = `${url}/api/v1/pipe`;
    // What loading the kit costs is not what is measured.
    const warm = fetch(`${base}/warm`).then((response) => response.text());
    await (await fetch(`${base}/warm`, {method: 'POST', body: 'x'})).text();
    await warm;
    const stalled = await RawClient.open(base, 'GET', '/big?n=2');
    const reading = await RawClient.open(base, 'GET', '/big?n=2');
    await untilStatus(base, '/big', ({activeReceivers}) => activeReceivers === 2);
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const before = peakBytes(pid);
    const sender = Bun.spawn({
      cmd: ['sh', '-c', `head -c ${offeredBytes} /dev/zero | curl -s -T - '${base}/big?n=2'`],
      stdin: 'ignore',
      stdout: 'ignore',
    });
    t.teardown(() => sender.kill('SIGKILL'));
    await reading.until('HTTP/1.1 200');
    stalled.pause();
    let moved = -1;
    for (let now = reading.receivedBytes; now !== moved; now = reading.receivedBytes) {
      moved = now;
      await Bun.sleep(2000);
    }
    const growth = peakBytes(pid) - before;
    t.log(`${moved} bytes came through, the runtime grew by ${(growth / 1024 ** 2).toFixed(1)} MB`);
    t.true(moved < offeredBytes / 10);
    t.true(growth < allowedGrowthBytes, `${growth} bytes`);
    t.is(sender.exitCode, null);
    stalled.leave();
    reading.leave();
  },
);
