import {registerContainerProviderContract} from '../../../contract/container-provider.ts';
import {processWorld} from '../../../helpers/process-provider-world.ts';
import {sandboxSkipReason} from '../../../helpers/sandbox-available.ts';

const skipReason = await sandboxSkipReason();

registerContainerProviderContract({
  name: 'process plain',
  skipReason: null,
  setup: (t) => processWorld(t, 'plain'),
});

registerContainerProviderContract({
  name: 'process sandbox',
  skipReason,
  setup: (t) => processWorld(t, 'sandbox'),
});
