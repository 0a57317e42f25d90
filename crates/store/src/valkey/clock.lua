-- The server's clock. KEYS: 1 any key of the partition, so that a cluster knows which server to ask.
return redis.call('TIME')
