// Evaluates a seccomp program in this process: classic BPF over struct seccomp_data, as the kernel runs it
// (net/core/filter.c, Documentation/userspace-api/seccomp_filter.rst). For tests.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

namespace bulkhead::testing {

inline std::uint32_t evaluate_bpf(std::span<const sock_filter> program, const seccomp_data& data) {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::uint32_t memory[BPF_MEMWORDS] = {};
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& i = program[at];
    const std::uint32_t operand = BPF_SRC(i.code) == BPF_X ? x : i.k;
    switch (BPF_CLASS(i.code)) {
      case BPF_LD:
        if (BPF_MODE(i.code) == BPF_ABS && BPF_SIZE(i.code) == BPF_W) {
          if (i.k % 4 != 0 || i.k + 4 > sizeof data) throw std::runtime_error("load outside of seccomp_data");
          std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        } else if (BPF_MODE(i.code) == BPF_IMM) {
          a = i.k;
        } else if (BPF_MODE(i.code) == BPF_MEM && i.k < BPF_MEMWORDS) {
          a = memory[i.k];
        } else {
          throw std::runtime_error("a load that seccomp refuses");
        }
        break;
      case BPF_LDX:
        x = BPF_MODE(i.code) == BPF_MEM ? memory[i.k % BPF_MEMWORDS] : i.k;
        break;
      case BPF_ST:
        memory[i.k % BPF_MEMWORDS] = a;
        break;
      case BPF_STX:
        memory[i.k % BPF_MEMWORDS] = x;
        break;
      case BPF_ALU:
        switch (BPF_OP(i.code)) {
          case BPF_AND:
            a &= operand;
            break;
          case BPF_OR:
            a |= operand;
            break;
          case BPF_XOR:
            a ^= operand;
            break;
          case BPF_ADD:
            a += operand;
            break;
          case BPF_SUB:
            a -= operand;
            break;
          case BPF_LSH:
            a <<= operand;
            break;
          case BPF_RSH:
            a >>= operand;
            break;
          default:
            throw std::runtime_error("arithmetic that no seccomp program needs");
        }
        break;
      case BPF_JMP: {
        if (BPF_OP(i.code) == BPF_JA) {
          at += i.k;
          break;
        }
        bool taken = false;
        switch (BPF_OP(i.code)) {
          case BPF_JEQ:
            taken = a == operand;
            break;
          case BPF_JGT:
            taken = a > operand;
            break;
          case BPF_JGE:
            taken = a >= operand;
            break;
          case BPF_JSET:
            taken = (a & operand) != 0;
            break;
          default:
            throw std::runtime_error("unknown jump");
        }
        at += taken ? i.jt : i.jf;
        break;
      }
      case BPF_RET:
        return BPF_RVAL(i.code) == BPF_A ? a : i.k;
      case BPF_MISC:
        if (BPF_MISCOP(i.code) == BPF_TAX)
          x = a;
        else
          a = x;
        break;
      default:
        throw std::runtime_error("unknown instruction");
    }
  }
  throw std::runtime_error("the program ends without a verdict");
}

// "allow", "errno 1", "kill process", ...: what a verdict means.
inline std::string verdict(std::uint32_t action) {
  const std::uint32_t data = action & SECCOMP_RET_DATA;
  switch (action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return "allow";
    case SECCOMP_RET_ERRNO:
      return "errno " + std::to_string(data);
    case SECCOMP_RET_KILL_PROCESS:
      return "kill process";
    case SECCOMP_RET_KILL_THREAD:
      return "kill thread";
    case SECCOMP_RET_TRAP:
      return "trap";
    case SECCOMP_RET_TRACE:
      return "trace " + std::to_string(data);
    case SECCOMP_RET_USER_NOTIF:
      return "notify";
    case SECCOMP_RET_LOG:
      return "log";
    default:
      return "unknown";
  }
}

}  // namespace bulkhead::testing
