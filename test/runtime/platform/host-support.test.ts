import test from 'ava';
import {thisHost, unsupportedReason} from '../../../runtime/platform/host-support.ts';

const supported = {platform: 'linux', arch: 'x64', glibc: '2.36'};

test('Linux with glibc is supported on x64 and arm64', (t) => {
  t.is(unsupportedReason(supported), null);
  t.is(unsupportedReason({...supported, arch: 'arm64'}), null);
});

for (const {change, names} of [
  {change: {platform: 'darwin', glibc: null}, names: /darwin/},
  {change: {platform: 'win32', glibc: null}, names: /win32/},
  {change: {glibc: null}, names: /musl/},
  {change: {arch: 'riscv64'}, names: /riscv64/},
]) {
  test(`${JSON.stringify(change)} is refused by name, with what to do`, (t) => {
    const reason = unsupportedReason({...supported, ...change}) ?? '';
    t.regex(reason, names);
    t.regex(reason, /Run it in/);
  });
}

test('the host that runs the tests is described', (t) => {
  const host = thisHost();
  t.is(host.platform, process.platform);
  if (host.platform === 'linux' && host.glibc !== null) t.regex(host.glibc, /^\d+\.\d+/);
});
