import {registerEngineProviderContract} from '../contract/engine-provider.ts';
import {startTestEngine} from '../helpers/container-engine.ts';
import {dockerContract} from '../helpers/docker-provider-world.ts';

registerEngineProviderContract({
  name: 'docker on podman',
  server: await startTestEngine('podman'),
  ...dockerContract,
});
