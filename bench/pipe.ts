import {lineLagsMs, parallelSeconds, setUpMs, throughput} from './pipe/clients.ts';
import {
  compilePrograms,
  congestionControl,
  cpuSeconds,
  type PipeServer,
  peakMegabytes,
  resetPeak,
  startBranchtab,
  startPairs,
  startPipingServer,
  startRelay,
} from './pipe/servers.ts';
import {type Bench, type Figure, percentile} from './result.ts';

const receiverCounts = [1, 8, 64, 256];
const rounds = 5;
/** Sent at n=1; with more receivers less, so that a round takes about as long. */
const sentBytes = 1024 ** 3;
const leastSentBytes = 32 * 1024 ** 2;

function bytesFor(n: number): number {
  return Math.max(leastSentBytes, Math.round(sentBytes / (n === 1 ? 1 : n / 4) / 1024 ** 2) * 1024 ** 2);
}

export const pipeBench: Bench = {
  name: 'pipe',
  summary: 'throughput, set-up and lag of pipes, beside piping-server and a relay in C',
  async run({progress, teardown}) {
    const programs = await compilePrograms({teardown});
    const {own, relayed} = await startBranchtab({teardown});
    const peer = await startPipingServer({teardown});
    const figures: Figure[] = [];
    const all: Record<string, unknown> = {};

    for (const n of receiverCounts) {
      const relay = await startRelay(programs, n, bytesFor(n));
      const rates: Record<string, number[]> = {};
      const cpu: Record<string, number> = {};
      // The servers take turns, so that what else the machine does hits all of them.
      for (let round = 0; round < rounds; round += 1) {
        progress(`throughput to ${n}, round ${round + 1}`);
        for (const server of [own, peer, relay]) {
          resetPeak(server);
          const cpuBefore = cpuSeconds(server);
          const rate = await throughput(programs, server, {n, bytes: bytesFor(n)});
          rates[server.name] = [...(rates[server.name] ?? []), rate];
          cpu[server.name] = (cpu[server.name] ?? 0) + cpuSeconds(server) - cpuBefore;
          if (n === 256 && server.name !== 'relay in C')
            all[`peak_mb ${server.name}`] = Math.max(
              Number(all[`peak_mb ${server.name}`] ?? 0),
              peakMegabytes(server),
            );
        }
      }
      relay.stop();
      const best = (name: PipeServer['name']) => Math.max(...(rates[name] ?? []));
      const cpuPerGigabyteMs = (name: PipeServer['name']) =>
        ((cpu[name] ?? 0) * 1000) / ((rounds * bytesFor(n) * n) / 1024 ** 3);
      all[`throughput n=${n}`] = rates;
      for (const other of ['piping-server', 'relay in C'] as const) {
        figures.push({
          label: `out to ${n} receiver(s)`,
          value: best('branchtab'),
          unit: 'MB/s',
          peer: {label: other, value: best(other)},
        });
        figures.push({
          label: `CPU for a GB out to ${n}`,
          value: cpuPerGigabyteMs('branchtab'),
          unit: 'ms',
          peer: {label: other, value: cpuPerGigabyteMs(other)},
        });
      }
      // What copying once for each receiver could reach at most.
      figures.push({
        label: `relay in C, out to ${n}`,
        value: best('relay in C'),
        unit: 'MB/s',
        peer: {label: 'piping-server', value: best('piping-server')},
      });
    }
    figures.push({
      label: 'peak resident memory at n=256',
      value: Number(all['peak_mb branchtab']),
      unit: 'MB',
      limit: 90,
    });

    progress('throughput through the address of all services');
    const throughRelay: number[] = [];
    for (let round = 0; round < rounds; round += 1)
      throughRelay.push(await throughput(programs, relayed, {n: 8, bytes: bytesFor(8)}));
    figures.push({
      label: 'out to 8, at the address of all services',
      value: Math.max(...throughRelay),
      unit: 'MB/s',
    });

    progress('set-up');
    const setUps: Record<string, number[]> = {};
    for (let round = 0; round < rounds; round += 1)
      for (const server of [own, peer])
        setUps[server.name] = [...(setUps[server.name] ?? []), ...(await setUpMs(programs, server, 200))];
    figures.push({
      label: 'last join to first byte, p50',
      value: percentile(setUps.branchtab ?? [], 0.5),
      unit: 'ms',
      peer: {label: 'piping-server', value: percentile(setUps['piping-server'] ?? [], 0.5)},
    });

    progress('lines');
    const lines = {n: 64, perSecond: 1000, seconds: 3};
    const [ownLags, peerLags] = [await lineLagsMs(own, lines), await lineLagsMs(peer, lines)];
    figures.push(
      {label: '1000 lines/s to 64, lag p99', value: percentile(ownLags, 0.99), unit: 'ms', limit: 20},
      {
        label: '1000 lines/s to 64, lag p99',
        value: percentile(ownLags, 0.99),
        unit: 'ms',
        peer: {label: 'piping-server', value: percentile(peerLags, 0.99)},
      },
    );

    progress('parallel transfers');
    const pairs = await startPairs(programs);
    const times: Record<string, number[]> = {};
    for (let round = 0; round < rounds; round += 1)
      for (const server of [own, peer, pairs])
        times[server.name] = [...(times[server.name] ?? []), await parallelSeconds(programs, server, 500)];
    pairs.stop();
    const leastMs = (name: PipeServer['name']) => Math.min(...(times[name] ?? [])) * 1000;
    // The relay's time is what the clients and the kernel take alone.
    for (const other of ['piping-server', 'relay in C'] as const)
      figures.push({
        label: '500 transfers of 1 MB at once',
        value: leastMs('branchtab'),
        unit: 'ms',
        peer: {label: other, value: leastMs(other)},
      });
    return {
      name: 'pipe',
      figures,
      values: {...all, parallel_seconds: times},
      notes: [
        `throughput and parallel transfers: best of ${rounds} rounds in turns, since other work on the machine only slows; bodies of known length, receivers that throw the bytes away in the kernel`,
        `set-up: ${rounds} times 200 pairs in turns; lines: 64 bytes each for 3 s`,
        `congestion control of this host: ${congestionControl()}`,
      ],
    };
  },
};
