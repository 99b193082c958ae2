// Coroutines of ours: an Async<T> is an Asio awaitable that ends in a Result. Structured: whoever starts one awaits it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "sandbox/base/result.h"

namespace bulkhead {

template <class T = void>
using Async = boost::asio::awaitable<Result<T>>;

// Suspends for `duration`.
inline boost::asio::awaitable<void> pause_for(std::chrono::milliseconds duration) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, duration);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace bulkhead

// As BULKHEAD_TRY and BULKHEAD_ASSIGN, inside a coroutine; `expr` may contain co_await.
#define BULKHEAD_CO_TRY(expr)                                        \
  do {                                                               \
    if (auto bulkhead_result = (expr); !bulkhead_result)             \
      co_return std::unexpected(std::move(bulkhead_result).error()); \
  } while (false)

#define BULKHEAD_CO_ASSIGN_(tmp, declaration, expr)            \
  auto tmp = (expr);                                           \
  if (!tmp) co_return std::unexpected(std::move(tmp).error()); \
  declaration = *std::move(tmp)
#define BULKHEAD_CO_ASSIGN(declaration, expr) \
  BULKHEAD_CO_ASSIGN_(BULKHEAD_CONCAT(bulkhead_tmp_, __LINE__), declaration, expr)
