import {active, createControllerWorld} from '../test/helpers/controller-world.ts';
import {createGitWorld} from '../test/helpers/git-world.ts';
import {throughput} from './pipe/clients.ts';
import {
  compilePrograms,
  congestionControl,
  cpuSeconds,
  type PipeServer,
  startBranchtab,
} from './pipe/servers.ts';
import {type Bench, type BenchOptions, type Figure, percentile} from './result.ts';

const receiverCounts = [1, 8];
const rounds = 7;
const sentBytes = 512 * 1024 ** 2;
/** The gateway should bring at least so much of what the pipe brings without it. */
const leastShare = 0.7;

export const gatewayBench: Bench = {
  name: 'gateway',
  summary: 'throughput of a pipe through the controller, beside that of the pipe itself',
  async run({progress, teardown}) {
    const programs = await compilePrograms({teardown});
    const {own} = await startBranchtab({teardown});
    const gateway = await startGateway({teardown});
    const figures: Figure[] = [];
    const all: Record<string, unknown> = {};
    for (const framing of ['length', 'chunked'] as const) {
      for (const n of receiverCounts) {
        const bytes = Math.round(sentBytes / Math.sqrt(n));
        const rates: [gateway: number, direct: number][] = [];
        const cpuBefore = cpuSeconds(gateway);
        for (let round = 0; round < rounds; round += 1) {
          progress(`${framing}, to ${n}, round ${round + 1}`);
          const rateOf = (server: PipeServer) => throughput(programs, server, {n, bytes, framing});
          rates.push([await rateOf(gateway), await rateOf(own)]);
        }
        all[`${framing} n=${n}`] = rates;
        const best = (index: 0 | 1) => Math.max(...rates.map((pair) => pair[index]));
        figures.push({
          label: `out to ${n}, ${framing === 'length' ? 'known length' : 'in chunks'}`,
          value: best(0),
          unit: 'MB/s',
          peer: {
            label: 'direct',
            value: best(1),
            least: leastShare,
          },
        });
        figures.push({
          label: `CPU of the gateway for a GB out to ${n}, ${framing === 'length' ? 'known length' : 'in chunks'}`,
          value: ((cpuSeconds(gateway) - cpuBefore) * 1000) / ((rounds * bytes * n) / 1024 ** 3),
          unit: 'ms',
        });
        all[`share ${framing} n=${n} p50`] = percentile(
          rates.map(([through, direct]) => through / direct),
          0.5,
        );
      }
    }
    return {
      name: 'gateway',
      figures,
      values: all,
      notes: [
        `best of ${rounds} rounds in turns; sender and receivers are all clients of the gateway, at the host of the container's pipe`,
        `the direct one is the pipe kit's own address (--pipe-listen); congestion control of this host: ${congestionControl()}`,
      ],
    };
  },
};

/** A controller with one container, at whose pipe the load comes by its host name. */
async function startGateway({teardown}: Pick<BenchOptions, 'teardown'>): Promise<PipeServer> {
  const git = await createGitWorld({teardown}, {bare: true});
  const commit = await git.commit('main', {'.hoody/crontab': '@yearly true\n'});
  const world = await createControllerWorld({teardown});
  const controller = await world.up('--repo', git.path, '--yes');
  const {container} = await controller.until('main', active(commit));
  const id = container?.id.replace('ctr_', '') ?? '';
  const {port} = new URL(controller.url);
  return {
    name: 'gateway',
    port: Number(port),
    pid: controller.pid,
    prefix: '',
    host: `${id}-pipe-1.localhost`,
  };
}
