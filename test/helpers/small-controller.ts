/**
 * A controller in small, for tests that kill one or need one of another user. Its provider's options come as JSON
 * in PROVIDER_OPTIONS; with `engine`, the path of its socket, it is the docker provider, with `incus`, an address, the incus one.
 *
 *   start <name>   makes and starts a container, prints it as JSON and waits to be killed
 *   remove         removes every container
 */
import {createEngineClient} from '../../api/engine-client.ts';
import {createIncusClient} from '../../api/incus-client.ts';
import {createDockerProvider} from '../../reconciler/containers/docker/docker-provider.ts';
import {createIncusProvider} from '../../reconciler/containers/incus/incus-provider.ts';
import {createProcessProvider} from '../../reconciler/containers/process/process-provider.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';

const [verb, name = ''] = process.argv.slice(2);
const options = JSON.parse(process.env.PROVIDER_OPTIONS ?? '{}');
const shared = {...options, clock: systemClock, log: silentLog};
const {engine, incus} = options;
const provider = await (engine !== undefined
  ? createDockerProvider({...shared, engine: createEngineClient({socketPath: engine})})
  : incus !== undefined
    ? createIncusProvider({
        ...shared,
        incus: createIncusClient({at: incus, openWebsocket, clock: systemClock}),
      })
    : createProcessProvider(shared));
if (verb === 'start') {
  const {id} = await provider.create({name, labels: {}});
  console.log(JSON.stringify(await provider.start(id)));
  await systemClock.sleep(60_000);
} else {
  for (const {id} of await provider.list()) await provider.remove(id);
  await provider.close();
}
